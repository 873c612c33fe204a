/** Loading the models of a command, as far as the command line trusts them. */
import { TorchSearchError } from "../errors";
import { Module } from "../model/module";
import type { LoadOptions, SampleInputs } from "../model/types";
import { reportFailure } from "./output";

/** What the options of the row table say; they belong to the command, not to the settings that a checkpoint keeps. */
interface Trust {
  allowUnsafe?: readonly string[];
  verify?: boolean;
  modelName?: string | null;
  timeout?: number | null;
}

let trust: Pick<LoadOptions, "allowUnsafe" | "verify" | "model"> = {};

/** Takes these options out of those that were given, for {@link loadModelFile}, and starts the clock of `--timeout`. */
export function takeTrust(given: Record<string, unknown>): void {
  const { allowUnsafe, verify, modelName, timeout } = given as Trust;
  for (const key of ["allowUnsafe", "verify", "modelName", "timeout"]) delete given[key];
  trust = {
    ...(allowUnsafe && { allowUnsafe }),
    ...(verify !== undefined && { verify }),
    ...(typeof modelName === "string" && { model: modelName }),
  };
  if (typeof timeout !== "number") return;
  setTimeout(() => {
    const remedy = "allow more, or look at what the model does.";
    reportFailure(
      new TorchSearchError("ERR_TIMEOUT", `The command took longer than --timeout (${timeout} s): ${remedy}`),
    );
    process.exit(1);
  }, timeout * 1000).unref();
}

/** What the command line trusts. */
export function givenTrust(): Pick<LoadOptions, "allowUnsafe" | "verify"> {
  return trust;
}

/** The program that `--model` names, null without it. */
export function programGiven(): string | null {
  return trust.model ?? null;
}

/** The options that trust a model's file as this command does, for a command that it prints. */
export function trustArguments(): string[] {
  const { allowUnsafe = [], verify = true } = trust;
  return [
    ...(allowUnsafe.length > 0 ? ["--allow-unsafe", ...allowUnsafe] : []),
    ...(verify ? [] : ["--no-verify"]),
  ];
}

/**
 * Loads a model of the command.
 *
 * @param options.program which program of a file with several, null for its only one; absent: as `--model` says
 * @throws what `Module.load` throws
 */
export function loadModelFile(
  file: string,
  options: { device?: string | null; signal?: AbortSignal; program?: string | null } = {},
): Promise<Module> {
  const { device = null, signal } = options;
  return Module.load(file, {
    ...trusted(options),
    ...(device !== null && { device }),
    ...(signal && { signal }),
  });
}

function trusted({ program }: { program?: string | null }): typeof trust {
  const { model, ...others } = trust;
  const chosen = program === undefined ? model : program;
  return typeof chosen === "string" ? { ...others, model: chosen } : others;
}

/** The inputs that a `.pt2` file of the command keeps; null for other files. */
export function sampleInputsOf(
  file: string,
  options: { program?: string | null } = {},
): Promise<SampleInputs | null> {
  return Module.sampleInputs(file, trusted(options));
}

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

/** The options that trust a model's file as this command does, for a command that it prints. */
export function trustArguments(): string[] {
  const { allowUnsafe = [], verify = true } = trust;
  return [
    ...(allowUnsafe.length > 0 ? ["--allow-unsafe", ...allowUnsafe] : []),
    ...(verify ? [] : ["--no-verify"]),
  ];
}

/** Loads a model of the command. @throws what `Module.load` throws */
export function loadModelFile(
  file: string,
  { device = null, signal }: { device?: string | null; signal?: AbortSignal } = {},
): Promise<Module> {
  return Module.load(file, { ...trust, ...(device !== null && { device }), ...(signal && { signal }) });
}

/** The inputs that a `.pt2` file of the command keeps; null for other files. */
export function sampleInputsOf(file: string): Promise<SampleInputs | null> {
  return Module.sampleInputs(file, trust);
}

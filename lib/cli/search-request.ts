/** A search request: everything that `torchsearch search` was asked for. A checkpoint keeps it for `resume`. */
import path from "node:path";

import { TorchSearchError } from "../errors";
import { LOSS_TABLE } from "../evaluation/losses";
import { isRecord } from "../util/check";
import { presentName } from "../util/renamed";
import { hasWidths, modeNamed } from "./modes";
import type { GivenOf } from "./options/declare";
import { badOption } from "./options/kinds";
import { checkSettings, fileRows, mergeSettings } from "./options/settings";
import { defaultsOf, flagOf, type SettingsOf } from "./options/table";
import type { SearchRequest } from "./request";
import { requireFitting } from "./search-modes";
import { requireFiles } from "./stored-files";

/**
 * Completes a request: options come before the settings file, and that before the defaults.
 *
 * @param given the options of the command
 * @throws `ERR_CLI_OPTION`
 */
export function completeRequest(model: string, given: GivenOf<"search">): SearchRequest {
  const { settings, asked } = mergeSettings("search", withPatternOfDensity(given));
  const { json: _json, verbose: _verbose, distributed: _, settings: _settings, ...rest } = settings;
  const { mode } = rest;
  const output = rest.output ?? path.resolve(`${stem(model)}.${hasWidths(mode) ? "subnet" : mode}.pt`);
  const beside = (suffix: string): string => path.join(path.dirname(output), `${stem(output)}.${suffix}`);
  const request: SearchRequest = {
    ...rest,
    searcher: rest.searcher ?? modeNamed(mode).defaultSearcher,
    model: path.resolve(model),
    output,
    checkpoint: rest.checkpoint ?? beside("search.safetensors"),
    latencyTable: rest.latencyTable ?? beside("latency.json"),
  };
  requireSound(request);
  requireFitting(request, asked);
  requireImageFolder(request);
  requireFiles({ "The model": [request.model], "The data": [...request.data, ...(request.evalData ?? [])] });
  return request;
}

/** `--density` alone means unstructured zeros, since a pattern N:M has its own density. */
function withPatternOfDensity(given: GivenOf<"search">): GivenOf<"search"> {
  const { searcherOptions, modeOptions } = given;
  if (searcherOptions?.density === undefined || modeOptions?.pattern !== undefined) return given;
  return { ...given, modeOptions: { pattern: "unstructured", ...modeOptions } };
}

/** Refuses options for images where the data are none. @throws `ERR_CLI_OPTION` */
export function requireImageFolder({ data, images }: Pick<SearchRequest, "data" | "images">): void {
  const arrays = data.find((file) => /\.(npz|npy|safetensors)$/i.test(file));
  if (images === null || arrays === undefined) return;
  throw badOption(
    `${arrays} holds arrays, which are taken as they are: leave out the --image-… options, which are for a folder of images.`,
  );
}

/** Refuses settings that contradict each other. @throws `ERR_CLI_OPTION`, and errors of constraints and config keys */
function requireSound(request: SearchRequest): void {
  const flag = (key: keyof SettingsOf<"search">): string => flagOf("search", key);
  if (request.data.length === 0) throw badOption(`A search needs data: give ${flag("data")}.`);
  if (request.topK > 1 && (request.score === "klDivergence" || request.score === "meanSquaredError"))
    throw badOption(
      `${flag("topK")} counts labels, which --score ${request.score} doesn't use: leave one of them out.`,
    );
  if (request.holdout !== null && request.evalData !== null)
    throw badOption(
      `Score the outcome on a part of the data (${flag("holdout")}) or on other data (${flag("evalData")}), not on both.`,
    );
  if (request.evalData === null && (request.evalInputArrays !== null || request.evalTargetArray !== null))
    throw badOption(`${flag("evalInputArrays")} and ${flag("evalTargetArray")} need ${flag("evalData")}.`);
  for (const other of [request.model, ...request.data])
    if (other === request.output || other === request.checkpoint)
      throw badOption(
        `${other} would be overwritten: name another ${flag("output")} or ${flag("checkpoint")}.`,
      );
}

/**
 * The request that a checkpoint keeps, in the present spelling.
 *
 * @param annotations what the search recorded
 * @throws `ERR_CLI_CHECKPOINT` when the command did not write it, or when it asks for what this version can't do
 */
export function recordedRequest(annotations: unknown, file: string): SearchRequest {
  const request = isRecord(annotations) ? annotations.request : undefined;
  if (!isRecord(request) || typeof request.model !== "string") {
    throw new TorchSearchError(
      "ERR_CLI_CHECKPOINT",
      `${file} does not say which command made it; continue with the program that made it.`,
    );
  }
  const { model, ...settings } = presentRequest(request);
  try {
    checkSettings("search", settings, file);
  } catch (error) {
    throw new TorchSearchError(
      "ERR_CLI_CHECKPOINT",
      `${(error as Error).message} This version can't continue the search that ${file} holds; start it anew.`,
      { cause: error },
    );
  }
  return { ...searchDefaults(), ...settings, model } as SearchRequest;
}

function searchDefaults(): SettingsOf<"search"> {
  const {
    json: _json,
    verbose: _verbose,
    distributed: _,
    settings: _settings,
    ...defaults
  } = defaultsOf("search");
  return defaults;
}

/**
 * A recorded request with values spelled as they are now: an earlier version wrote `cross_entropy`, `mse`, `kl` and
 * `bn_scale`.
 */
export function presentRequest(request: Record<string, unknown>): Record<string, unknown> {
  const present = { ...request };
  for (const { key, kind } of fileRows("search")) {
    const value = present[key];
    if (kind.choices !== undefined && typeof value === "string")
      present[key] = presentName(value, kind.choices) ?? value;
  }
  const { searcherOptions } = present;
  if (isRecord(searcherOptions)) {
    const values = Object.entries(searcherOptions).map(([key, value]) => [
      presentName(key, ["loss"]) ?? key,
      typeof value === "string" ? (presentName(value, Object.keys(LOSS_TABLE)) ?? value) : value,
    ]);
    present.searcherOptions = Object.fromEntries(values);
  }
  return present;
}

/** A file's name without folder and extension. */
function stem(file: string): string {
  return path.basename(file).replace(/\.[^.]+$/, "");
}

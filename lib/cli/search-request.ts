/** What `torchsearch search` was asked to do, as plain JSON: a checkpoint keeps it, and `resume` goes on with it. */
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Constraints } from "../contract/types";
import { INTERPOLATIONS } from "../data/image-decode";
import type { ImagePreprocessing } from "../data/image-preprocess";
import { TorchSearchError } from "../errors";
import { IMPORTANCE_CHOICES } from "../space/importance";
import { isRecord } from "../util/check";
import { checkConfig } from "../util/complete-config";
import { type ConfigRule, oneOf, orNull, plainRules } from "../util/rules";
import { badOption } from "./options";
import { MODES, type ModeName, modeOf, requireFitting, SEARCHERS, WIDTH_MODES } from "./search-modes";

export const SCORES = ["auto", "accuracy", "cross_entropy", "mse", "kl"] as const;
export type ScoreName = (typeof SCORES)[number];

/** Where samples come from and how they are batched. */
export interface DataRequest {
  /** Absolute paths: a folder of images, one .npz or .safetensors file, or .npy files, each perhaps as `name=path`. */
  data: string[];
  /** Arrays that are the model's inputs, in order; null to choose by their names. */
  inputArrays: string[] | null;
  /** The array that holds the targets; null to choose by its name. */
  targetArray: string | null;
  batchSize: number;
  shuffle: boolean;
  seed: number;
  /** How images of a folder are prepared; null for torchvision's defaults. */
  images: ImageRequest | null;
}

/** How images of a folder are prepared, and how their classes are numbered. */
export interface ImageRequest extends ImagePreprocessing {
  classes?: readonly string[];
}

/** How the model becomes a search space. */
export interface SpaceRequest {
  /** Absolute path. */
  model: string;
  device: string | null;
  /** Shapes of the inputs that costs refer to; null for one sample of the data. */
  input: string[] | null;
  mode: string;
  channelDivisor: number;
  importance: string;
  /** Further keys of the mode's config for `convert`, such as `pattern` or `formats`. */
  modeOptions: Record<string, unknown>;
}

/** All of it. */
export interface SearchRequest extends DataRequest, SpaceRequest {
  constraints: Constraints;
  /** A short name, of one of the mode's searchers. */
  searcher: string;
  /** Config keys that belong to the searcher alone, such as `numIters`. */
  searcherOptions: Record<string, unknown>;
  score: ScoreName;
  topK: number;
  maxBatches: number | null;
  /** Share of the batches that are kept from the search, to score its outcome on; null for none. */
  holdout: number | null;
  /** Data to score the outcome on, as `data`; null for none. */
  evalData: string[] | null;
  evalInputArrays: string[] | null;
  evalTargetArray: string | null;
  recalibrate: boolean;
  calibrationBatches: number | null;
  /** File of latencies, read, or measured and written when latency is constrained. Absolute path. */
  latencyTable: string | null;
  /** Threads that latencies are of; null for LibTorch's own. */
  threads: number | null;
  output: string;
  checkpoint: string;
}

/** Keys of a request that `--config` may hold; all but the model and what follows from others. */
export type RequestSettings = Partial<Omit<SearchRequest, "model">>;

export const REQUEST_DEFAULTS = {
  data: [] as string[],
  inputArrays: null,
  targetArray: null,
  batchSize: 64,
  shuffle: true,
  seed: 0,
  images: null,
  device: null,
  input: null,
  mode: "fastnas",
  channelDivisor: 8,
  importance: "l1",
  modeOptions: {} as Record<string, unknown>,
  constraints: {} as Constraints,
  searcherOptions: {} as Record<string, unknown>,
  score: "auto",
  topK: 1,
  maxBatches: null,
  holdout: null,
  evalData: null,
  evalInputArrays: null,
  evalTargetArray: null,
  recalibrate: true,
  calibrationBatches: null,
  latencyTable: null,
  threads: null,
} satisfies RequestSettings;

const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
const texts: ConfigRule = {
  expected: "a list of names",
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(isText),
};
const { text, record, boolean: yesOrNo, positiveInteger: positive } = plainRules;
const share: ConfigRule = {
  expected: "a share between 0 and 1",
  accepts: (value) => typeof value === "number" && value > 0 && value < 1,
};

const threeNumbers: ConfigRule = {
  expected: "three numbers",
  accepts: (value) => Array.isArray(value) && value.length === 3 && value.every(Number.isFinite),
};

const IMAGE_RULES: Readonly<Record<keyof ImageRequest, ConfigRule>> = {
  resize: positive,
  crop: positive,
  interpolation: oneOf(INTERPOLATIONS),
  mean: threeNumbers,
  std: threeNumbers,
  classes: texts,
};

const RULES: Readonly<Record<keyof RequestSettings, ConfigRule>> = {
  data: texts,
  inputArrays: orNull(texts),
  targetArray: orNull(text),
  batchSize: positive,
  shuffle: yesOrNo,
  seed: plainRules.nonNegativeInteger,
  images: orNull(record),
  device: orNull(text),
  input: orNull(texts),
  mode: oneOf(MODES),
  channelDivisor: positive,
  importance: oneOf(IMPORTANCE_CHOICES),
  modeOptions: record,
  constraints: record,
  searcher: oneOf(SEARCHERS),
  searcherOptions: record,
  score: oneOf(SCORES),
  topK: positive,
  maxBatches: orNull(positive),
  holdout: orNull(share),
  evalData: orNull(texts),
  evalInputArrays: orNull(texts),
  evalTargetArray: orNull(text),
  recalibrate: yesOrNo,
  calibrationBatches: orNull(positive),
  latencyTable: orNull(text),
  threads: orNull(positive),
  output: text,
  checkpoint: text,
};

/** Checks settings. @throws `ERR_CLI_OPTION` naming the nearest known key, or what was expected */
function checked(settings: Record<string, unknown>, where: string): RequestSettings {
  const words = {
    key: "key",
    error: (_code: string, message: string) => badOption(`${where}: ${message}`),
  };
  const images = settings.images;
  return {
    ...checkConfig(settings, RULES, words),
    ...(isRecord(images) && { images: checkConfig(images, IMAGE_RULES, { ...words, prefix: "images." }) }),
  };
}

/**
 * Reads a `--config` file: a JSON object with keys of {@link RequestSettings}. Paths in it are relative to its folder.
 *
 * @throws `ERR_CLI_OPTION`
 */
export function readSettings(file: string): RequestSettings {
  const settings = checked(readJson(file), file);
  const folder = path.dirname(path.resolve(file));
  const absolute = (name: string): string => path.resolve(folder, name);
  return {
    ...settings,
    ...(settings.data && { data: settings.data.map((entry) => resolveEntry(entry, absolute)) }),
    ...(settings.evalData && { evalData: settings.evalData.map((entry) => resolveEntry(entry, absolute)) }),
    ...(settings.latencyTable && { latencyTable: absolute(settings.latencyTable) }),
    ...(settings.output && { output: absolute(settings.output) }),
    ...(settings.checkpoint && { checkpoint: absolute(settings.checkpoint) }),
  };
}

/** Reads a file that holds one JSON object. @throws `ERR_CLI_OPTION` */
export function readJson(file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw badOption(`${file} can't be read as JSON: ${(error as Error).message}`);
  }
  if (!isRecord(value)) throw badOption(`${file} must hold a JSON object.`);
  return value;
}

/** `name=path` or a path, with the path made absolute. */
export function resolveEntry(
  entry: string,
  absolute: (name: string) => string = (name) => path.resolve(name),
): string {
  const match = /^(\w+)=(.+\.npy)$/.exec(entry);
  return match === null ? absolute(entry) : `${match[1]}=${absolute(match[2] as string)}`;
}

/**
 * Completes a request: what the options say goes before what the file says, and that before the defaults.
 *
 * @param options what was given on the command line, by the keys of a request
 * @throws `ERR_CLI_OPTION`
 */
export function completeRequest(
  model: string,
  options: Record<string, unknown>,
  configFile: string | undefined,
): SearchRequest {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const flags = checked(given, "The command");
  const file = configFile === undefined ? {} : readSettings(configFile);
  const settings: RequestSettings = {
    ...REQUEST_DEFAULTS,
    ...file,
    ...flags,
    searcherOptions: { ...file.searcherOptions, ...flags.searcherOptions },
    modeOptions: { ...file.modeOptions, ...flags.modeOptions },
    ...((file.images || flags.images) && { images: { ...file.images, ...flags.images } }),
  };
  const absolute = (name: string): string => path.resolve(name);
  const { mode } = settings as SearchRequest;
  const kind = WIDTH_MODES.includes(mode as ModeName) ? "subnet" : mode;
  const output = absolute(settings.output ?? `${stem(model)}.${kind}.pt`);
  const beside = (suffix: string): string => path.join(path.dirname(output), `${stem(output)}.${suffix}`);
  const request: SearchRequest = {
    ...(settings as SearchRequest),
    searcher: settings.searcher ?? modeOf(settings as SearchRequest).mode.defaultSearcher,
    model: absolute(model),
    data: (settings.data ?? []).map((entry) => resolveEntry(entry)),
    evalData: settings.evalData?.map((entry) => resolveEntry(entry)) ?? null,
    output,
    checkpoint: absolute(settings.checkpoint ?? beside("search.safetensors")),
    latencyTable: absolute(settings.latencyTable ?? beside("latency.json")),
  };
  if (request.data.length === 0) throw badOption("A search needs data: give --data.");
  requireFitting(request, { ...file, ...flags });
  if (request.holdout !== null && request.evalData !== null)
    throw badOption(
      "Score the outcome on a part of the data (--holdout) or on other data (--eval-data), not on both.",
    );
  if (request.evalData === null && (request.evalInputArrays !== null || request.evalTargetArray !== null))
    throw badOption("--eval-input-array and --eval-target-array need --eval-data.");
  for (const other of [request.model, ...request.data])
    if (other === request.output || other === request.checkpoint)
      throw badOption(`${other} would be overwritten: name another --output or --checkpoint.`);
  return request;
}

/** The request that a checkpoint keeps. @throws `ERR_CLI_CHECKPOINT` when it was not written by the command */
export function recordedRequest(annotations: unknown, file: string): SearchRequest {
  const request = isRecord(annotations) ? annotations.request : undefined;
  if (isRecord(request) && typeof request.model === "string") return request as unknown as SearchRequest;
  throw new TorchSearchError(
    "ERR_CLI_CHECKPOINT",
    `${file} does not tell by which command it was made; go on with the program that made it.`,
  );
}

/** A file's name without folder and extension. */
function stem(file: string): string {
  return path.basename(file).replace(/\.[^.]+$/, "");
}

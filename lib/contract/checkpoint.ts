/**
 * Checkpoints: a safetensors file whose metadata is text, so that any language reads them.
 *
 * | metadata key | meaning |
 * | --- | --- |
 * | `format` | always `torchsearch-checkpoint` |
 * | `format_version` | a whole number; a reader refuses a larger one than its own |
 * | `library_version` | version of torchsearch that wrote the file |
 * | `searcher` | class name of the searcher |
 * | `fingerprint` | `fingerprint()` of the searched model |
 * | `random` | JSON: the state of the searcher's random generator, four unsigned 32-bit numbers |
 * | `settings` | JSON: constraints and those config values that JSON can hold, for reports; not read back |
 * | `state` | JSON: the state, encoded as `state-values.ts` describes; tensors and typed arrays are the file's tensors |
 * | `digest` | hex SHA-256 over `state` and then every tensor's bytes, in the order of the tensors' names |
 * | `frame_digest` | hex SHA-256 over the other texts and the tensors' names, dtypes and shapes, as JSON; may be missing |
 */

import {
  type CheckpointFormat,
  readCheckpointFile,
  storedJson,
  storedRecord,
  writeCheckpointFile,
} from "../data/checkpoint-file";
import type { RawTensor } from "../data/safetensors";
import { TorchSearchError } from "../errors";
import type { AtomicWriteOptions } from "../util/atomic-file";
import { requirePath } from "../util/check";
import { listed } from "../util/listed";
import { Random, type RandomState } from "../util/random";
import { placeOf } from "./checkpoint-path";
import { decodeState, encodeState } from "./state-values";
import type { SearchStateDict } from "./types";

/** The version of the format that this library writes. */
export const CHECKPOINT_VERSION = 1;

const FORMAT: CheckpointFormat = {
  name: "torchsearch-checkpoint",
  version: CHECKPOINT_VERSION,
  what: "a checkpoint",
};

/** The content of a checkpoint. */
export interface Checkpoint {
  /** The searcher's `stateDict`. */
  state: SearchStateDict;
  /** Fingerprint of the searched model. */
  fingerprint: string;
  /** State of the searcher's random generator. */
  random: RandomState;
  /** Class name of the searcher. */
  searcher: string;
  /** Constraints and config, as far as JSON can hold them. */
  settings: Record<string, unknown>;
  /** The version of the library that wrote it; set by {@link readCheckpoint}. */
  libraryVersion?: string;
}

/**
 * Writes a checkpoint atomically: an earlier file stays intact if anything fails.
 *
 * @throws `ERR_CHECKPOINT_WRITE` when the file can't be written, `ERR_STATE_VALUE` when the state has a value that a
 *   checkpoint can't hold
 */
export async function writeCheckpoint(
  file: string,
  checkpoint: Checkpoint,
  options: AtomicWriteOptions = {},
): Promise<void> {
  const { json, tensors } = encodeState(checkpoint.state);
  const metadata = {
    searcher: checkpoint.searcher,
    fingerprint: checkpoint.fingerprint,
    random: JSON.stringify(checkpoint.random),
    settings: JSON.stringify(checkpoint.settings),
  };
  await writeCheckpointFile(file, FORMAT, { metadata, state: JSON.stringify(json), tensors }, options);
}

/**
 * Reads a checkpoint. Returns null when there is no such file.
 *
 * @param checkpoint a file, or a folder that holds one for each rank, as in the config of the search
 * @throws `ERR_CHECKPOINT_READ` when the file can't be read, `ERR_CHECKPOINT_CORRUPT` when it is damaged or is not a
 *   checkpoint, `ERR_CHECKPOINT_VERSION` when a newer version of the library wrote it
 *
 * @example
 * ```ts
 * await search(space, { flops: "60%" }, dummyInput, { scoreFunc, maxChoices: 1, checkpoint: "search.safetensors" });
 * const checkpoint = await readCheckpoint("search.safetensors");
 * console.log(checkpoint?.searcher, checkpoint?.state.best);
 * ```
 */
export async function readCheckpoint(checkpoint: string): Promise<Checkpoint | null> {
  requirePath(checkpoint, "readCheckpoint");
  const { file } = await placeOf(checkpoint);
  return readCheckpointFile(file, FORMAT, ({ metadata, state, tensors }) => ({
    state: decodeState({ json: JSON.parse(state), tensors: new Map(tensors) }),
    fingerprint: metadata.fingerprint ?? "",
    random: Random.fromState(storedJson(metadata.random ?? "", "random numbers") as RandomState).state,
    searcher: metadata.searcher ?? "",
    settings: storedRecord(metadata.settings, "settings"),
    libraryVersion: metadata.library_version,
  }));
}

/** A checkpoint as JSON holds it, on its way to another process. */
export interface PackedCheckpoint extends Omit<Checkpoint, "state"> {
  json: unknown;
  /** Names, with dtypes, shapes, and bytes in base64. */
  tensors: [string, Omit<RawTensor, "bytes"> & { bytes: string }][];
}

export function packCheckpoint({ state, ...rest }: Checkpoint): PackedCheckpoint {
  const { json, tensors } = encodeState(state);
  const packed = [...tensors].map(([name, { bytes, ...tensor }]): PackedCheckpoint["tensors"][number] => [
    name,
    { ...tensor, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64") },
  ]);
  return { ...rest, json, tensors: packed };
}

export function unpackCheckpoint({ json, tensors, ...rest }: PackedCheckpoint): Checkpoint {
  const unpacked = tensors.map(([name, tensor]): [string, RawTensor] => [
    name,
    { ...tensor, bytes: new Uint8Array(Buffer.from(tensor.bytes, "base64")) },
  ]);
  return { ...rest, state: decodeState({ json, tensors: new Map(unpacked) }) };
}

/**
 * Refuses a checkpoint that does not belong to this search.
 *
 * @param keys the keys that its state must have; null for any
 * @throws `ERR_CHECKPOINT_MODEL` when it was written for another model, `ERR_CHECKPOINT_KEYS` when its state has
 *   other keys than `keys`
 */
export function requireFitting(
  file: string,
  checkpoint: Checkpoint,
  fingerprint: string,
  keys: readonly string[] | null,
): void {
  const found = Object.keys(checkpoint.state);
  const missing = keys?.filter((key) => !found.includes(key)) ?? [];
  const extra = keys === null ? [] : found.filter((key) => !keys.includes(key));
  if (missing.length > 0 || extra.length > 0) {
    const parts = [
      missing.length > 0 ? `it lacks ${listed(missing)}` : "",
      extra.length > 0 ? `it has ${listed(extra)} too many` : "",
    ];
    throw new TorchSearchError(
      "ERR_CHECKPOINT_KEYS",
      `Checkpoint ${file}, written by ${checkpoint.searcher || "an unnamed searcher"}, has other state keys than this ` +
        `searcher: ${parts.filter(Boolean).join(", and ")}. Name another checkpoint file.`,
    );
  }
  if (checkpoint.fingerprint !== fingerprint) {
    throw new TorchSearchError(
      "ERR_CHECKPOINT_MODEL",
      `Checkpoint ${file} was written for another model (fingerprint ${short(checkpoint.fingerprint)}, this one is ` +
        `${short(fingerprint)}). Search that model, or name another checkpoint file.`,
    );
  }
}

function short(fingerprint: string): string {
  return fingerprint.slice(0, 12) || "none";
}

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
 * | `settings` | JSON: constraints and those config values that JSON can say, for a report; not read back |
 * | `state` | JSON: the state, spelled as `state-values.ts` says; tensors and typed arrays are the file's tensors |
 * | `digest` | hex SHA-256 over `state` and then every tensor's bytes, tensors in order of name |
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { decodeSafetensors, encodeSafetensors, type RawTensor } from "../data/safetensors";
import { TorchSearchError } from "../errors";
import { requireWritable, writeFileAtomic } from "../util/atomic-file";
import type { RandomState } from "../util/random";
import { decodeState, encodeState } from "./state-values";
import type { SearchStateDict } from "./types";

/** Version of the format that this library writes. */
export const CHECKPOINT_VERSION = 1;

const FORMAT = "torchsearch-checkpoint";
const LIBRARY_VERSION = (require("../../package.json") as { version: string }).version;

/** What a checkpoint holds. */
export interface Checkpoint {
  state: SearchStateDict;
  /** Fingerprint of the searched model. */
  fingerprint: string;
  random: RandomState;
  /** Class name of the searcher. */
  searcher: string;
  /** Constraints and config, as far as JSON can say them. */
  settings: Record<string, unknown>;
  /** Version of the library that wrote it; filled in by {@link readCheckpoint}. */
  libraryVersion?: string;
}

/**
 * Writes a checkpoint atomically: an earlier file stays intact if anything fails.
 *
 * @throws `ERR_CHECKPOINT_WRITE` when the file can't be written, `ERR_STATE_VALUE` when the state holds a value that
 *   a checkpoint can't
 */
export async function writeCheckpoint(file: string, checkpoint: Checkpoint): Promise<void> {
  const { json, tensors } = encodeState(checkpoint.state);
  const state = JSON.stringify(json);
  const chunks = encodeSafetensors(tensors, {
    format: FORMAT,
    format_version: String(CHECKPOINT_VERSION),
    library_version: LIBRARY_VERSION,
    searcher: checkpoint.searcher,
    fingerprint: checkpoint.fingerprint,
    random: JSON.stringify(checkpoint.random),
    settings: JSON.stringify(checkpoint.settings),
    state,
    digest: digest(state, tensors),
  });
  try {
    await writeFileAtomic(file, chunks);
  } catch (error) {
    throw unwritable(file, error);
  }
}

/**
 * Refuses a path that can't be written, before a search spends hours on what it then can't save. Makes the folder
 * where it is missing.
 *
 * @throws `ERR_CHECKPOINT_WRITE`
 */
export async function requireWritableCheckpoint(file: string): Promise<void> {
  try {
    await requireWritable(file);
  } catch (error) {
    throw unwritable(file, error);
  }
}

/**
 * Reads a checkpoint, or gives null when there is no such file.
 *
 * @throws `ERR_CHECKPOINT_READ` when the file can't be read, `ERR_CHECKPOINT_CORRUPT` when it is damaged or no
 *   checkpoint, `ERR_CHECKPOINT_VERSION` when a newer version of the library wrote it
 */
export async function readCheckpoint(file: string): Promise<Checkpoint | null> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new TorchSearchError(
      "ERR_CHECKPOINT_READ",
      `Checkpoint ${file} can't be read: ${messageOf(error)}.`,
      { cause: error },
    );
  }
  try {
    const { metadata, tensors } = decodeSafetensors(bytes);
    if (metadata.format !== FORMAT) throw new Error("it is a safetensors file, but not a checkpoint");
    const version = Number(metadata.format_version);
    if (!Number.isInteger(version) || version < 1) throw new Error("it has no format version");
    if (version > CHECKPOINT_VERSION) {
      throw new TorchSearchError(
        "ERR_CHECKPOINT_VERSION",
        `Checkpoint ${file} has format version ${version}, written by torchsearch ${metadata.library_version ?? "?"}; ` +
          `this one (${LIBRARY_VERSION}) reads up to ${CHECKPOINT_VERSION}. Update torchsearch, or start a new checkpoint.`,
      );
    }
    const state = metadata.state ?? "";
    if (metadata.digest !== digest(state, tensors)) throw new Error("its contents don't match its digest");
    return {
      state: decodeState({ json: JSON.parse(state), tensors }),
      fingerprint: metadata.fingerprint ?? "",
      random: JSON.parse(metadata.random ?? "") as RandomState,
      searcher: metadata.searcher ?? "",
      settings: JSON.parse(metadata.settings ?? "{}") as Record<string, unknown>,
      libraryVersion: metadata.library_version,
    };
  } catch (error) {
    if (error instanceof TorchSearchError && error.code === "ERR_CHECKPOINT_VERSION") throw error;
    throw new TorchSearchError(
      "ERR_CHECKPOINT_CORRUPT",
      `Checkpoint ${file} can't be used: ${messageOf(error)} Delete it or name another file to start anew.`,
      { cause: error },
    );
  }
}

/**
 * Refuses a checkpoint that does not belong to this search.
 *
 * @throws `ERR_CHECKPOINT_MODEL` when it was written for another model, `ERR_CHECKPOINT_KEYS` when its state has
 *   other keys than `keys`
 */
export function requireFitting(
  file: string,
  checkpoint: Checkpoint,
  fingerprint: string,
  keys: readonly string[],
): void {
  const found = Object.keys(checkpoint.state);
  const missing = keys.filter((key) => !found.includes(key));
  const extra = found.filter((key) => !keys.includes(key));
  if (missing.length > 0 || extra.length > 0) {
    const parts = [
      missing.length > 0 ? `it lacks ${missing.join(", ")}` : "",
      extra.length > 0 ? `it has ${extra.join(", ")} too many` : "",
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

function digest(state: string, tensors: ReadonlyMap<string, RawTensor>): string {
  const hash = createHash("sha256").update(state);
  for (const name of [...tensors.keys()].sort()) hash.update((tensors.get(name) as RawTensor).bytes);
  return hash.digest("hex");
}

function unwritable(file: string, error: unknown): TorchSearchError {
  return new TorchSearchError(
    "ERR_CHECKPOINT_WRITE",
    `Checkpoint ${path.resolve(file)} can't be written: ${messageOf(error)}. Name a file in a folder that can be written.`,
    { cause: error },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function short(fingerprint: string): string {
  return fingerprint.slice(0, 12) || "none";
}

/**
 * Checkpoints of training: a safetensors file whose metadata is text, as those of searches.
 *
 * | metadata key | meaning |
 * | --- | --- |
 * | `format` | always `torchsearch-training` |
 * | `format_version` | a whole number; a reader refuses a larger one than its own |
 * | `library_version` | version of torchsearch that wrote the file |
 * | `fingerprint` | `fingerprint()` of the model as training found it |
 * | `fingerprint_now` | `fingerprint()` of the model as it was when the file was written |
 * | `settings` | JSON: the options that decide how training goes, which must be the same when it is resumed |
 * | `annotations` | JSON: what the caller wants to have in the file, such as the command that started the training |
 * | `state` | JSON: how far training is, losses and scores |
 * | `digest` | hex SHA-256 over `state` and then every tensor's bytes, tensors in order of name |
 *
 * Tensors: `weights/NAME` (buffers among them), `optimizer/NAME.WHAT`, and `kept/NAME`, the best weights so far.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";

import { tensorFromRaw, tensorToRaw } from "../data/raw-tensor";
import { decodeSafetensors, encodeSafetensors, type RawTensor } from "../data/safetensors";
import { TorchSearchError } from "../errors";
import type { NamedTensor } from "../module";
import { writeFileAtomic } from "../util/atomic-file";
import { Breather } from "../util/breather";

/** Version of the format that this library writes. */
export const TRAINING_CHECKPOINT_VERSION = 1;

const FORMAT = "torchsearch-training";
const LIBRARY_VERSION = (require("../../package.json") as { version: string }).version;
const SLICE = 1 << 20;

/** What a checkpoint of training holds. */
export interface TrainingCheckpoint<State> {
  fingerprint: string;
  fingerprintNow: string;
  settings: Record<string, unknown>;
  annotations: Record<string, unknown>;
  state: State;
  tensors: NamedTensor[];
}

/** Writes a checkpoint atomically. The tensors must not change meanwhile. @throws `ERR_CHECKPOINT_WRITE` */
export async function writeTrainingCheckpoint<State>(
  file: string,
  checkpoint: TrainingCheckpoint<State>,
): Promise<void> {
  const tensors = new Map(checkpoint.tensors.map(({ name, tensor }) => [name, tensorToRaw(tensor)]));
  const state = JSON.stringify(checkpoint.state);
  try {
    const chunks = encodeSafetensors(tensors, {
      format: FORMAT,
      format_version: String(TRAINING_CHECKPOINT_VERSION),
      library_version: LIBRARY_VERSION,
      fingerprint: checkpoint.fingerprint,
      fingerprint_now: checkpoint.fingerprintNow,
      settings: JSON.stringify(checkpoint.settings),
      annotations: JSON.stringify(checkpoint.annotations),
      state,
      digest: await digest(state, tensors),
    });
    await writeFileAtomic(file, chunks);
  } catch (error) {
    throw new TorchSearchError(
      "ERR_CHECKPOINT_WRITE",
      `Checkpoint ${path.resolve(file)} can't be written: ${(error as Error).message}. Name a file in a folder that can be written.`,
      { cause: error },
    );
  }
}

/**
 * Reads a checkpoint, or gives null when there is no such file. Its tensors are the caller's to close.
 *
 * @throws `ERR_CHECKPOINT_READ`, `ERR_CHECKPOINT_CORRUPT`, `ERR_CHECKPOINT_VERSION`
 */
export async function readTrainingCheckpoint<State>(file: string): Promise<TrainingCheckpoint<State> | null> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new TorchSearchError(
      "ERR_CHECKPOINT_READ",
      `Checkpoint ${file} can't be read: ${(error as Error).message}.`,
      { cause: error },
    );
  }
  try {
    const { metadata, tensors } = decodeSafetensors(bytes);
    if (metadata.format !== FORMAT)
      throw new Error("it is a safetensors file, but no checkpoint of training.");
    const version = Number(metadata.format_version);
    if (!Number.isInteger(version) || version < 1) throw new Error("it has no format version.");
    if (version > TRAINING_CHECKPOINT_VERSION) {
      throw new TorchSearchError(
        "ERR_CHECKPOINT_VERSION",
        `Checkpoint ${file} has format version ${version}, written by torchsearch ${metadata.library_version ?? "?"}; ` +
          `this one (${LIBRARY_VERSION}) reads up to ${TRAINING_CHECKPOINT_VERSION}. Update torchsearch, or start a new checkpoint.`,
      );
    }
    const state = metadata.state ?? "";
    if (metadata.digest !== (await digest(state, tensors)))
      throw new Error("its contents don't match its digest.");
    return {
      fingerprint: metadata.fingerprint ?? "",
      fingerprintNow: metadata.fingerprint_now ?? "",
      settings: JSON.parse(metadata.settings ?? "{}") as Record<string, unknown>,
      annotations: JSON.parse(metadata.annotations ?? "{}") as Record<string, unknown>,
      state: JSON.parse(state) as State,
      tensors: [...tensors].map(([name, raw]) => ({ name, tensor: tensorFromRaw(raw) })),
    };
  } catch (error) {
    if (error instanceof TorchSearchError && error.code === "ERR_CHECKPOINT_VERSION") throw error;
    throw new TorchSearchError(
      "ERR_CHECKPOINT_CORRUPT",
      `Checkpoint ${file} can't be used: ${(error as Error).message} Delete it or name another file to start anew.`,
      { cause: error },
    );
  }
}

/** Hashed piece by piece, so that the event loop goes on beside large models. */
async function digest(state: string, tensors: ReadonlyMap<string, RawTensor>): Promise<string> {
  const hash = createHash("sha256").update(state);
  const breather = new Breather();
  for (const name of [...tensors.keys()].sort()) {
    const { bytes } = tensors.get(name) as RawTensor;
    for (let at = 0; at < bytes.byteLength; at += SLICE) {
      hash.update(bytes.subarray(at, at + SLICE));
      await breather.breathe();
    }
  }
  return hash.digest("hex");
}

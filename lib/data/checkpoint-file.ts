/** The frame of every checkpoint: a safetensors file with a format, a version and a digest in its metadata. */
import { createHash } from "node:crypto";
import { unlink } from "node:fs/promises";
import path from "node:path";
import { TorchSearchError } from "../errors";
import { LIBRARY_VERSION } from "../native/versions";
import { type AtomicWriteOptions, previousOf, writeFileAtomic } from "../util/atomic-file";
import { Breather } from "../util/breather";
import { isRecord } from "../util/check";
import { jsonDigest } from "../util/digest";
import { jsonDepth, MAX_JSON_DEPTH } from "../util/json-depth";
import { readRegularFile } from "../util/regular-file";
import { unwritableFile } from "../util/unwritable";
import { warn } from "../util/warning";
import { decodeSafetensors, encodeSafetensors, type RawTensor } from "./safetensors";

const SLICE = 1 << 20;

/** One kind of checkpoint. */
export interface CheckpointFormat {
  /** The metadata's `format`. */
  name: string;
  /** The version that this library writes, and the largest that it reads. */
  version: number;
  /** The format's name in messages, such as `a checkpoint`. */
  what: string;
}

/** The content of a checkpoint file. */
export interface CheckpointContent {
  metadata: Readonly<Record<string, string>>;
  /** JSON. */
  state: string;
  tensors: ReadonlyMap<string, RawTensor>;
}

/**
 * Writes a checkpoint atomically: an earlier file stays intact if anything fails. The tensors must not change
 * meanwhile.
 *
 * @throws `ERR_CHECKPOINT_WRITE`
 */
export async function writeCheckpointFile(
  file: string,
  format: CheckpointFormat,
  { metadata, state, tensors }: CheckpointContent,
  options: AtomicWriteOptions = {},
): Promise<void> {
  const whole = {
    format: format.name,
    format_version: String(format.version),
    library_version: LIBRARY_VERSION,
    ...metadata,
    state,
    digest: await digest(state, tensors),
  };
  const chunks = encodeSafetensors(new Map(tensors), { ...whole, frame_digest: frameDigest(whole, tensors) });
  try {
    await writeFileAtomic(file, chunks, options);
  } catch (error) {
    throw unwritable(file, error);
  }
}

/**
 * Reads a checkpoint. Where it is damaged and the generation before it is there and sound, that one is read, with a
 * process warning whose code is `ERR_CHECKPOINT_CORRUPT`.
 *
 * @returns the result of `parse`, or null when there is no such file
 * @throws `ERR_CHECKPOINT_READ` when the file can't be read; `ERR_CHECKPOINT_CORRUPT` when it is damaged or has another
 *   format, or `parse` throws; `ERR_CHECKPOINT_VERSION` when a newer version of the library wrote it
 */
export async function readCheckpointFile<Checkpoint>(
  file: string,
  format: CheckpointFormat,
  parse: (content: CheckpointContent) => Checkpoint | Promise<Checkpoint>,
): Promise<Checkpoint | null> {
  try {
    return await readGeneration(file, format, parse);
  } catch (error) {
    if (!(error instanceof TorchSearchError) || error.code !== "ERR_CHECKPOINT_CORRUPT") throw error;
    const earlier = await readGeneration(previousOf(file), format, parse).catch(() => null);
    if (earlier === null) throw error;
    warn(`${error.message} The generation before it, ${previousOf(file)}, is used instead.`, error.code);
    return earlier;
  }
}

/** Forgets the generation before the present one. */
export async function forgetPrevious(file: string): Promise<void> {
  await unlink(previousOf(file)).catch(() => {}); // mostly there is none
}

async function readGeneration<Checkpoint>(
  file: string,
  format: CheckpointFormat,
  parse: (content: CheckpointContent) => Checkpoint | Promise<Checkpoint>,
): Promise<Checkpoint | null> {
  let bytes: Uint8Array;
  try {
    bytes = await readRegularFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new TorchSearchError(
      "ERR_CHECKPOINT_READ",
      `Checkpoint ${file} can't be read: ${messageOf(error)}. Name a file that torchsearch wrote.`,
      { cause: error },
    );
  }
  try {
    const { metadata, tensors } = await decodeSafetensors(bytes);
    if (metadata.format !== format.name) throw new Error(`it is a safetensors file, but not ${format.what}.`);
    const version = Number(metadata.format_version);
    if (!Number.isInteger(version) || version < 1) throw new Error("it has no format version.");
    if (version > format.version) {
      throw new TorchSearchError(
        "ERR_CHECKPOINT_VERSION",
        `Checkpoint ${file} has format version ${version}, written by torchsearch ${metadata.library_version ?? "?"}; ` +
          `this one (${LIBRARY_VERSION}) reads up to ${format.version}. Update torchsearch, or start a new checkpoint.`,
      );
    }
    const state = metadata.state ?? "";
    const { frame_digest: frame, ...whole } = metadata;
    // Earlier versions wrote none.
    const framed = frame === undefined || frame === frameDigest(whole, tensors);
    if (!framed || metadata.digest !== (await digest(state, tensors)))
      throw new Error("its contents don't match its digest.");
    return await parse({ metadata, state, tensors });
  } catch (error) {
    if (error instanceof TorchSearchError && error.code === "ERR_CHECKPOINT_VERSION") throw error;
    throw new TorchSearchError(
      "ERR_CHECKPOINT_CORRUPT",
      `Checkpoint ${file} can't be used: ${messageOf(error)} Name a file that torchsearch wrote, or start a new one at another path.`,
      { cause: error },
    );
  }
}

/**
 * A JSON text of a checkpoint, which anyone may have written: it goes no deeper than what walks over it by calling itself.
 * For use in the `parse` of {@link readCheckpointFile}. @throws Error
 */
export function storedJson(text: string, what: string): unknown {
  if (jsonDepth(text) > MAX_JSON_DEPTH) throw new Error(`its ${what} are nested too deeply.`);
  return JSON.parse(text);
}

/** As {@link storedJson}, for an object; an absent text is an empty one. @throws Error */
export function storedRecord(text: string | undefined, what: string): Record<string, unknown> {
  const value = storedJson(text ?? "{}", what);
  if (!isRecord(value)) throw new Error(`its ${what} are no object.`);
  return value;
}

/** The error of a checkpoint that can't be written. */
export function unwritable(file: string, error: unknown): TorchSearchError {
  return unwritableFile(`Checkpoint ${path.resolve(file)}`, error, "ERR_CHECKPOINT_WRITE");
}

/** What {@link digest} leaves out: the other texts, and the tensors' names, dtypes and shapes. */
function frameDigest(
  { state: _, ...metadata }: Readonly<Record<string, string>>,
  tensors: ReadonlyMap<string, RawTensor>,
): string {
  const sorted = <Item extends readonly unknown[]>(items: Item[]): Item[] =>
    items.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return jsonDigest([
    sorted(Object.entries(metadata)),
    sorted([...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])),
  ]);
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

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
 * | `settings` | JSON: the options that decide the result, which must be the same when training is resumed |
 * | `annotations` | JSON: the caller's own record, such as the command that started the training |
 * | `state` | JSON: how far training is, losses and scores |
 * | `digest` | hex SHA-256 over `state` and then every tensor's bytes, tensors in order of name |
 * | `frame_digest` | hex SHA-256 over the other texts and the tensors' names, dtypes and shapes; may be missing |
 *
 * Tensors: `weights/NAME` (buffers among them), `optimizer/NAME.WHAT`, and `kept/NAME`, the best weights so far.
 */

import {
  type CheckpointFormat,
  readCheckpointFile,
  storedJson,
  storedRecord,
  writeCheckpointFile,
} from "../data/checkpoint-file";
import { tensorFromFile, tensorToRaw } from "../data/raw-tensor";
import type { RawTensor } from "../data/safetensors";
import { LOSSES } from "../evaluation/losses";
import type { NamedTensor } from "../model/types";
import { Breather } from "../util/breather";
import { presentName } from "../util/renamed";

/** Version of the format that this library writes. */
export const TRAINING_CHECKPOINT_VERSION = 1;

const FORMAT: CheckpointFormat = {
  name: "torchsearch-training",
  version: TRAINING_CHECKPOINT_VERSION,
  what: "a checkpoint of training",
};

/** What a checkpoint of training holds. */
export interface TrainingCheckpoint<State> {
  fingerprint: string;
  fingerprintNow: string;
  settings: Record<string, unknown>;
  annotations: Record<string, unknown>;
  state: State;
  tensors: NamedTensor[];
}

/** Writes a checkpoint atomically. The tensors must not change while it runs. @throws `ERR_CHECKPOINT_WRITE` */
export async function writeTrainingCheckpoint<State>(
  file: string,
  checkpoint: TrainingCheckpoint<State>,
): Promise<void> {
  const tensors = new Map<string, RawTensor>();
  const breather = new Breather();
  for (const { name, tensor } of checkpoint.tensors) {
    tensors.set(name, tensorToRaw(tensor));
    await breather.breathe();
  }
  const metadata = {
    fingerprint: checkpoint.fingerprint,
    fingerprint_now: checkpoint.fingerprintNow,
    settings: JSON.stringify(checkpoint.settings),
    annotations: JSON.stringify(checkpoint.annotations),
  };
  const content = { metadata, state: JSON.stringify(checkpoint.state), tensors };
  await writeCheckpointFile(file, FORMAT, content, { keepPrevious: true });
}

/**
 * Reads a checkpoint; null when there is no such file. The caller closes its tensors.
 *
 * @throws `ERR_CHECKPOINT_READ`, `ERR_CHECKPOINT_CORRUPT`, `ERR_CHECKPOINT_VERSION`
 */
export function readTrainingCheckpoint<State>(file: string): Promise<TrainingCheckpoint<State> | null> {
  return readCheckpointFile(file, FORMAT, async ({ metadata, state, tensors }) => ({
    fingerprint: metadata.fingerprint ?? "",
    fingerprintNow: metadata.fingerprint_now ?? "",
    settings: presentSettings(storedRecord(metadata.settings, "settings")),
    annotations: storedRecord(metadata.annotations, "annotations"),
    state: storedJson(state, "numbers") as State,
    tensors: await readTensors(tensors),
  }));
}

async function readTensors(tensors: ReadonlyMap<string, RawTensor>): Promise<NamedTensor[]> {
  const named: NamedTensor[] = [];
  for (const [name, raw] of tensors) named.push({ name, tensor: await tensorFromFile(raw) });
  return named;
}

/** Settings in the present spelling, so that a checkpoint of an earlier version can be resumed. */
function presentSettings({ random, ...settings }: Record<string, unknown>): Record<string, unknown> {
  const { loss } = settings;
  return {
    ...settings,
    ...(random !== undefined && { randomSubnets: random }),
    ...(typeof loss === "string" && { loss: presentName(loss, LOSSES) ?? loss }),
  };
}

/** Small trainings, alone or in a group, which tell all that came out. */
import { createHash } from "node:crypto";
import path from "node:path";

import {
  convert,
  finetune,
  Module,
  type SearchSpace,
  setThreads,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import type { Group } from "../../lib/distributed/group";
import type { FinetuneOptions } from "../../lib/finetune/options";
import { trainSupernet } from "../../lib/finetune/supernet";

/** What is trained, and how. */
export interface TrainingJob {
  model: string;
  dataShards?: number;
  batchSize?: number;
  options?: Partial<FinetuneOptions>;
  teacher?: string;
  supernet?: boolean;
  /** Whether functions pick inputs and targets; `uneven` for targets of another number than inputs. */
  picks?: boolean | "uneven";
  ownLoss?: boolean;
  /** Where the module is saved afterwards. */
  saved?: string;
  /** Whether epochs are rated; then the best one's weights are kept. */
  scored?: boolean;
  /** Which part of the data; default `train`. */
  samples?: "train" | "test";
}

/** Trains for a few steps; digests all weights and buffers. */
export async function trainingRun(
  {
    model,
    dataShards,
    batchSize = 32,
    options,
    teacher,
    supernet = false,
    picks = false,
    ownLoss = false,
    scored = false,
    saved,
    samples = "train",
  }: TrainingJob,
  { fixtures, group }: { fixtures: string; group: Group | null },
): Promise<{ weights: string; losses: number[]; score: number | null }> {
  setThreads(1);
  const module = await Module.load(path.join(fixtures, model));
  const load = (part: string) =>
    TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), {
      keys: [`${part}_images`, `${part}_labels`],
      batchSize,
    });
  const data = await load(samples);
  const rated = await load("test");
  type Batch = Record<string, Tensor>;
  const given: FinetuneOptions = {
    steps: 6,
    seed: 1,
    group,
    ...(dataShards !== undefined && { dataShards }),
    ...(scored && { scoreFunc: topKAccuracy(rated, { maxBatches: 2 }) }),
    ...options,
    ...(teacher !== undefined && { teacher: await Module.load(path.join(fixtures, teacher)) }),
    ...(picks !== false && {
      collectFunc: ((batch: Batch) => batch[`${samples}_images`]) as FinetuneOptions["collectFunc"],
      targetFunc: ((batch: Batch) =>
        picks === "uneven"
          ? Tensor.from(new BigInt64Array(5), [5])
          : batch[`${samples}_labels`]) as FinetuneOptions["targetFunc"],
    }),
    ...(ownLoss && { lossFunc: (() => ({})) as never }),
  };
  const space = supernet
    ? ((await convert(module, "autonas", Tensor.from(new Float32Array(64), [1, 1, 8, 8]))) as SearchSpace)
    : null;
  const { epochs, score } =
    space === null ? await finetune(module, data, given) : await trainSupernet(space, data, given as never);
  if (saved !== undefined) await module.save(saved);
  const digest = createHash("sha256")
    .update(await module.fingerprint())
    .digest("hex");
  return { weights: digest, losses: epochs.map(({ loss }) => loss), score };
}

/** Training that runs on every rank of a group: each takes the same steps, and computes its shards of each batch. */
import { batchCount, type DataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import { partsOf, rangesOf } from "../evaluation/score-parts";
import type { RunContext, ScoreFunction, SearchModel } from "../evaluation/types";
import { callNative } from "../native/call";
import type { NativeTrainer } from "../native/types/trainer";
import type { Group } from "./group";
import { type SearchFacts, SharedSearch } from "./shared-search";

/** What training needs of the other processes. */
export interface TrainingShare {
  /** This process's number, from 0; rank 0 writes files. */
  readonly rank: number;
  /** Lets a trainer compute its shards of each batch, and take the others'. */
  connect(trainer: NativeTrainer, signal: AbortSignal | null): Promise<void>;
  /**
   * Compares what must be the same on all ranks with rank 0's.
   *
   * @param what its name in the message, and what to do about a difference
   * @throws `ERR_GROUP_MISMATCH`, `ERR_GROUP_PEER_LOST`, `ERR_ABORTED`
   */
  agree(value: unknown, what: { name: string; remedy: string }, signal: AbortSignal | null): Promise<void>;
  /**
   * Rates a model, which is the same on all ranks: each measures some of the batches where the score can be cut, else
   * all of them.
   *
   * @param key what the score depends on beside the data, such as the step
   */
  rate(model: SearchModel, score: ScoreFunction, key: string, context: RunContext): Promise<number>;
  /** Tells the others of this rank's error. @returns the error to throw: theirs, where it was first */
  failed(error: unknown): Promise<unknown>;
}

/** Training in one process. */
export const TRAINS_ALONE: TrainingShare = {
  rank: 0,
  connect: async () => undefined,
  agree: async () => undefined,
  rate: async (model, score, _key, context) => score(model, context),
  failed: async (error) => error,
};

/** A training that the ranks of a group begin together. */
export interface SharedTraining {
  kind: "finetune" | "supernet";
  /** The model's fingerprint. */
  model: string;
  settings: SearchFacts;
  data: DataSource;
  /** What rates epochs; null for nothing. */
  scoreFunc: ScoreFunction | null;
}

/**
 * Begins training in a group, when rank 0 has begun the same.
 *
 * @param training what must be the same on all ranks; settings by the names that messages have
 * @throws `ERR_GROUP_MISMATCH` naming what differs, `ERR_GROUP_PEER_LOST`, `ERR_ABORTED`
 */
export async function beginTraining(
  group: Group | null,
  { kind, model, settings, data, scoreFunc }: SharedTraining,
  signal: AbortSignal | null,
): Promise<TrainingShare> {
  if (group === null || group.worldSize <= 1) return TRAINS_ALONE;
  const facts = {
    training: kind,
    model,
    ...settings,
    batches: batchCount(data),
    scored: scoreFunc !== null,
  };
  const shared = await SharedSearch.begin(group, facts, signal);
  const agree: TrainingShare["agree"] = async (value, { name, remedy }, until) => {
    const own = JSON.stringify(value);
    const first = await shared.once(async () => own, until);
    if (own === first) return;
    throw new TorchSearchError(
      "ERR_GROUP_MISMATCH",
      `Rank ${group.rank} has another ${name} than rank 0 (${own} instead of ${first}): ${remedy}.`,
    );
  };
  return {
    rank: group.rank,
    async connect(trainer, until) {
      const { store, place } = shared.exchange;
      await callNative((call) => trainer.share(store, place, call), until);
    },
    agree,
    async rate(model, score, key, context) {
      const signal = context.signal ?? null;
      const parts = partsOf(score);
      if (parts === null) {
        const own = await score(model, context);
        const remedy = "give all ranks the same data to score on, and a score that depends on nothing else";
        await agree(own, { name: "score", remedy }, signal);
        return own;
      }
      const items = rangesOf(parts.batches, group.worldSize).map(([first, end]) => ({
        key: `${key} ${first}-${end}`,
        cost: end - first,
        measure: () => parts.measure(model, context, first, end),
      }));
      // All batches of the first score are compared.
      return parts.combine((await shared.measureAll(items, { signal, probes: items.length })).flat());
    },
    async failed(error) {
      const lost = error instanceof TorchSearchError && error.code === "ERR_GROUP_PEER_LOST";
      if (!lost) {
        await shared.endAll(error);
        return error;
      }
      // It may be another rank's error that this one has noticed.
      return (await shared.reason().catch(() => null)) ?? error;
    },
  };
}

/** Ranking channels over hyperparameters, and the widths that are left without the last of them. */
import type { ChannelRank } from "../../space/importance";
import type { Hyperparameter, SubnetConfig } from "../../space/types";
import { isRecord } from "../../util/check";

/** Which channels are ranked with each other: all, those of layers of the same structure, or those of a hyperparameter. */
export const RANKINGS = ["global", "isomorphic", "local"] as const;
/** One of {@link RANKINGS}. */
export type Ranking = (typeof RANKINGS)[number];

/** Whether a checkpoint's ranks are of these hyperparameters: anyone may have written it. */
export function areRanks(hyperparameters: readonly Hyperparameter[], ranks: unknown): boolean {
  if (!isRecord(ranks)) return false;
  return hyperparameters.every(({ name, kind, full }) => {
    const rank = Object.hasOwn(ranks, name) ? ranks[name] : null;
    if (!isRecord(rank) || typeof rank.structure !== "string" || !Array.isArray(rank.scores)) return false;
    const count = kind === "depth" || kind === "custom" ? 0 : full;
    return rank.scores.length === count && rank.scores.every(Number.isFinite);
  });
}

/** The channels of one class, in the order in which they are dropped. */
export interface RankedChannels {
  /** The hyperparameters that have some of them. */
  members: readonly Hyperparameter[];
  /** Of each channel, the first to be dropped first: the position of its hyperparameter in `members`. */
  order: readonly number[];
}

/**
 * The classes of channels. A width keeps leading channels, so that one is dropped with all that follow: its score is the
 * highest of theirs and its own.
 */
export function rankedChannels(
  hyperparameters: readonly Hyperparameter[],
  ranks: Readonly<Record<string, ChannelRank>>,
  ranking: Ranking,
): RankedChannels[] {
  const classes = new Map<string, Hyperparameter[]>();
  for (const hyperparameter of hyperparameters) {
    const { structure, scores } = ranks[hyperparameter.name] as ChannelRank;
    if (scores.length === 0) continue;
    const name = { global: "", isomorphic: structure, local: hyperparameter.name }[ranking];
    classes.set(name, [...(classes.get(name) ?? []), hyperparameter]);
  }
  return [...classes.values()].map((members) => ({ members, order: dropOrder(members, ranks) }));
}

function dropOrder(
  members: readonly Hyperparameter[],
  ranks: Readonly<Record<string, ChannelRank>>,
): number[] {
  const channels = members.flatMap(({ name }, member) => {
    const { scores } = ranks[name] as ChannelRank;
    let highest = Number.NEGATIVE_INFINITY;
    return [...scores].reverse().map((score) => {
      highest = Math.max(highest, score);
      return { member, score: highest };
    });
  });
  // Sorting is stable: of equal ones those that a width drops first stay first.
  return channels.sort((a, b) => a.score - b.score).map(({ member }) => member);
}

/**
 * The subnet of the least share that fits, when every class drops that share of its channels. Widths are the smallest
 * choices that keep what isn't dropped; what no class has is as in `base`.
 *
 * @param fits whether a subnet meets the bounds; one that is narrower everywhere must fit too
 */
export function configOfShare(
  classes: readonly RankedChannels[],
  base: Readonly<SubnetConfig>,
  fits: (config: SubnetConfig) => boolean,
): { share: number; config: SubnetConfig } {
  const steps = classes.reduce((most, { order }) => Math.max(most, order.length), 1);
  const at = (step: number): SubnetConfig => {
    const config = { ...base };
    for (const { members, order } of classes) {
      const dropped = new Uint32Array(members.length);
      const count = Math.floor((step * order.length) / steps);
      for (const member of order.slice(0, count)) dropped[member] = (dropped[member] as number) + 1;
      members.forEach(({ name, choices, full }, member) => {
        const kept = full - (dropped[member] as number);
        config[name] = choices.find((choice) => choice >= kept) ?? (choices.at(-1) as number);
      });
    }
    return config;
  };
  let [low, high] = [0, steps];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(at(middle))) high = middle;
    else low = middle + 1;
  }
  return { share: low / steps, config: at(low) };
}

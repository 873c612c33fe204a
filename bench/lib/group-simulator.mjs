// How long a group of processes takes, from what candidates cost on one: the library's own tickets, dealt to ranks that
// each take the next one when they are free.
import { largestFirst, neighbours } from "../../dist/distributed/units.js";

/**
 * @param {object} work
 * @param {number[][]} work.rounds seconds of the candidates that can be measured at the same time, round by round
 * @param {boolean} [work.inOrder] whether neighbours stay together, as in a sweep
 * @param {number} [work.fixed] the part of a candidate's seconds that every range of its batches takes anew
 * @param {number} [work.batches] a score's batches, where they are shared too
 * @param {number} work.serial seconds that every rank spends beside the candidates
 * @param {number} work.ticket seconds of a ticket's calls of the store
 * @param {number} ranks
 * @param {number} cores of all machines together: more ranks than that slow each other down
 * @returns {number} seconds
 */
export function simulate({ rounds, inOrder = false, fixed = 0, batches = 1, serial, ticket }, ranks, cores) {
  if (ranks === 1) return serial + rounds.flat().reduce((sum, cost) => sum + cost, 0);
  const slower = Math.max(1, ranks / cores);
  let time = serial * slower;
  for (const [at, costs] of rounds.entries()) {
    const ranges = costs.length < ranks ? Math.min(batches, Math.ceil(ranks / costs.length)) : 1;
    const items = costs.flatMap((cost) => {
      const whole = Math.min(fixed, cost);
      return Array(ranges).fill({ cost: slower * (whole + (cost - whole) / ranges) });
    });
    // The very first item is measured by every rank.
    const probed = at === 0 ? items[0].cost : 0;
    const units = inOrder && ranges === 1 ? neighbours(items, ranks) : largestFirst(items);
    const free = Array(ranks).fill(probed);
    for (const unit of units) {
      const next = free.indexOf(Math.min(...free));
      for (const item of unit) if (at !== 0 || item !== 0) free[next] += items[item].cost;
      free[next] += ticket;
    }
    time += Math.max(...free);
  }
  return time;
}

/**
 * Seconds of a training step: the shards of the rank with the most of them, and gradients to the rank with the store and
 * back from it, one rank after the other.
 */
export function stepSeconds({ shard, shards, exchange }, ranks, cores) {
  const slower = Math.max(1, ranks / cores);
  return slower * shard * Math.ceil(shards / ranks) + (ranks - 1) * exchange;
}

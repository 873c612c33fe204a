import { joinedRank } from "../distributed/own-rank";

/**
 * This process's rank in the group that it joined (`joinGroup`); outside of one, its rank among the processes that search together, from the environment variables `RANK` and `WORLD_SIZE`
 * that torchrun sets. A process that was started alone has rank 0. `RANK` without `WORLD_SIZE` is ignored, because
 * another program may have set it.
 */
export function rank(): number {
  const joined = joinedRank();
  if (joined !== null) return joined;
  const worldSize = Number(process.env.WORLD_SIZE);
  const own = Number(process.env.RANK);
  return worldSize > 1 && Number.isInteger(own) && own >= 0 && own < worldSize ? own : 0;
}

/** Whether this process writes shared files and prints to the terminal. */
export function isMaster(): boolean {
  return rank() === 0;
}

/**
 * This process's rank among those that search together, by torchrun's convention: the environment variables `RANK`
 * and `WORLD_SIZE`. A process started alone has rank 0. `RANK` without `WORLD_SIZE` is somebody else's variable.
 */
export function rank(): number {
  const worldSize = Number(process.env.WORLD_SIZE);
  const own = Number(process.env.RANK);
  return worldSize > 1 && Number.isInteger(own) && own >= 0 && own < worldSize ? own : 0;
}

/** Whether this process writes checkpoints and talks to the terminal. */
export function isMaster(): boolean {
  return rank() === 0;
}

/** LibTorch's threads inside one operator; `lib/model/threads.ts` has the public functions. */
import { addon } from "./addon";

/** From the next job on. */
export function setThreads(count: number): void {
  addon().setThreads(count);
}

export function getThreads(): number {
  return addon().getThreads();
}

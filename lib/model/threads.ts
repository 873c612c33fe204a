/** How many threads LibTorch uses inside one operator. */
import * as native from "../native/threads";
import { expected } from "../util/check";

const MOST = 4096;

/**
 * Sets how many threads LibTorch uses inside one operator, from the next call on that runs natively: forwards, scores,
 * searches and profiles alike. The default is LibTorch's own, the number of cores or `OMP_NUM_THREADS`. Results of a
 * search do not depend on it beyond rounding.
 *
 * @param count a whole number from 1 to 4096
 * @throws `ERR_ARGUMENT`
 *
 * @example
 * ```ts
 * setThreads(1); // small networks gain nothing from more
 * ```
 */
export function setThreads(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > MOST)
    throw expected("ERR_ARGUMENT", `a whole number from 1 to ${MOST}`, "the number of threads", count);
  native.setThreads(count);
}

/**
 * How many threads LibTorch uses inside one operator.
 *
 * @example
 * ```ts
 * console.log(getThreads());
 * ```
 */
export function getThreads(): number {
  return native.getThreads();
}

import { TorchSearchError } from "../errors";
import { abortError, isAbort, orAbandoned, throwIfAborted } from "../util/abort";
import { describe } from "../util/check";

/**
 * Wraps what a user's function threw in an error with our code; the thrown value is its cause. An error that has a code
 * already is returned as it is. After an abort, everything that is thrown counts as the abort.
 */
export function wrapFailure(
  error: unknown,
  signal: AbortSignal | null | undefined,
  code: string,
  name: string,
): TorchSearchError {
  if (signal?.aborted && !isAbort(error)) return abortError(signal);
  if (error instanceof TorchSearchError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new TorchSearchError(code, `${name} failed: ${reason}`, { cause: error });
}

/**
 * Calls a score function and checks its result.
 *
 * @throws `ERR_SCORE_FAILED` (with cause) when it throws, `ERR_SCORE_NAN`, `ERR_ABORTED`
 */
export async function scoreOf(
  call: () => unknown | Promise<unknown>,
  signal?: AbortSignal | null,
): Promise<number> {
  let score: unknown;
  try {
    score = await orAbandoned(call(), signal);
  } catch (error) {
    throw wrapFailure(error, signal, "ERR_SCORE_FAILED", "scoreFunc");
  }
  throwIfAborted(signal);
  if (typeof score !== "number" || !Number.isFinite(score)) {
    throw new TorchSearchError(
      "ERR_SCORE_NAN",
      `expected a finite number from scoreFunc but received ${describe(score)}`,
    );
  }
  return score;
}

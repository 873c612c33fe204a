import { TorchSearchError } from "../errors";
import { abortError, isAbort, throwIfAborted } from "../util/abort";
import { describe } from "../util/check";

/**
 * The error of a user's function under our code, with the thrown value as its cause. Errors that have a code already
 * come through as they are; whatever is thrown after an abort counts as the abort.
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
 * What a score function gives, once it is a score.
 *
 * @throws `ERR_SCORE_FAILED` (with cause) when it throws, `ERR_SCORE_NAN`, `ERR_ABORTED`
 */
export async function scoreOf(
  call: () => unknown | Promise<unknown>,
  signal?: AbortSignal | null,
): Promise<number> {
  let score: unknown;
  try {
    score = await call();
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

/** Options of {@link TorchSearchError}. */
export interface TorchSearchErrorOptions {
  /** The error that led to this one. */
  cause?: unknown;
}

/** Characters that a message has at most; names in files from strangers may be as long as the files. */
const LONGEST = 10_000;
/** Characters of the end that stay, since a remedy comes last. */
const ENDING = 2000;

function shortened(message: string): string {
  const left = message.length - LONGEST;
  if (left <= 0) return message;
  return `${message.slice(0, LONGEST - ENDING)}… (${left} characters left out) …${message.slice(-ENDING)}`;
}

/**
 * The one class of error this package throws. `code` is stable (`ERR_…`) and safe to branch on; `message` is a
 * sentence for people that says what to change, and may be reworded between releases.
 *
 * @example
 * ```ts
 * try {
 *   await Module.load("missing.pt");
 * } catch (error) {
 *   if (!(error instanceof TorchSearchError)) throw error;
 *   console.log(error.code); // "ERR_FILE_NOT_FOUND"
 * }
 * ```
 */
export class TorchSearchError extends Error {
  /** Stable, machine-readable reason, for example `ERR_LIBTORCH_NOT_FOUND`. */
  readonly code: string;

  constructor(code: string, message: string, options?: TorchSearchErrorOptions) {
    super(shortened(message), options);
    this.name = "TorchSearchError";
    this.code = code;
  }
}

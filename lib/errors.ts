/** Options of {@link TorchSearchError}. */
export interface TorchSearchErrorOptions {
  /** The error that led to this one. */
  cause?: unknown;
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
    super(message, options);
    this.name = "TorchSearchError";
    this.code = code;
  }
}

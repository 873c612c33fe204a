import { printable } from "./terminal";

/** A warning of this library, by its code. Its text may have names from strangers' files: they command no terminal. */
export function warn(message: string, code: string): void {
  process.emitWarning(printable(message), { type: "TorchSearchWarning", code });
}

import { TorchSearchError } from "../errors";

/**
 * What a file is to hold, its name may not deny: models are written as TorchScript.
 *
 * @throws `ERR_EXPORTED_WRITE` for a name that ends with `.pt2`
 */
export function requireTorchScriptName(file: string): void {
  if (!/\.pt2$/i.test(file)) return;
  throw new TorchSearchError(
    "ERR_EXPORTED_WRITE",
    `"${file}" would be no exported program: models are written as TorchScript. Give the file a name that ends with .pt.`,
  );
}

import { TorchSearchError } from "../errors";

/** How a model is written: as TorchScript, or as an exported program. */
export const FILE_FORMATS = ["torchscript", "pt2"] as const;
export type FileFormat = (typeof FILE_FORMATS)[number];

/** Whether a file's name says that it holds an exported program. */
export function isExportedName(file: string): boolean {
  return /\.pt2$/i.test(file);
}

/**
 * The format of a file that is written: the one asked for, else the one that its name says.
 *
 * @throws `ERR_EXPORTED_WRITE` for TorchScript under a name that ends with `.pt2`
 */
export function formatOf(file: string, asked: FileFormat | null | undefined): FileFormat {
  const named = isExportedName(file) ? "pt2" : "torchscript";
  if (asked === "torchscript" && named === "pt2") {
    throw new TorchSearchError(
      "ERR_EXPORTED_WRITE",
      `"${file}" would be no exported program, but TorchScript. Give the file a name that ends with .pt.`,
    );
  }
  return asked ?? named;
}

/** A model's path without its ending, to name what belongs to it. */
export function stemOf(file: string): string {
  return file.replace(/\.pt2?$/i, "");
}

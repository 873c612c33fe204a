/** Files of named arrays, read once: first their names, then the arrays that are wanted. */
import path from "node:path";
import { TorchSearchError } from "../errors";
import { whenLoaded } from "../native/load";
import { requirePath } from "../util/check";
import { listed } from "../util/listed";
import { readRegularFile } from "../util/regular-file";
import { sortedBeside } from "../util/sorted-beside";
import { decodeNpz, listNpz } from "./npz";
import { decodeSafetensors, type RawTensor } from "./safetensors";

/** Arrays by name. */
export type Arrays = ReadonlyMap<string, RawTensor>;

/** A file that holds named arrays. */
export class ArrayFile {
  readonly path: string;
  /** In the file's order; sorted where a file has no order. */
  readonly names: readonly string[];
  /** Whether the file's order means something. */
  readonly ordered: boolean;
  readonly #read: (keys: readonly string[]) => Arrays | Promise<Arrays>;

  private constructor(
    file: string,
    names: readonly string[],
    ordered: boolean,
    read: (keys: readonly string[]) => Arrays | Promise<Arrays>,
  ) {
    this.path = file;
    this.names = names;
    this.ordered = ordered;
    this.#read = read;
  }

  /** Opens a .npz file. @throws `ERR_DATA_FILE` */
  static async openNpz(file: string): Promise<ArrayFile> {
    const bytes = await readDataFile(file);
    const name = path.basename(file);
    return new ArrayFile(file, listNpz(bytes, name), true, (keys) => decodeNpz(bytes, name, keys));
  }

  /** Opens a safetensors file. @throws `ERR_DATA_FILE` */
  static async openSafetensors(file: string): Promise<ArrayFile> {
    const bytes = await readDataFile(file);
    let tensors: Map<string, RawTensor>;
    try {
      ({ tensors } = await decodeSafetensors(bytes));
    } catch (error) {
      throw new TorchSearchError("ERR_DATA_FILE", `${file} can't be read: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const names = await sortedBeside([...tensors.keys()]);
    return new ArrayFile(file, names, false, (keys) => {
      const missing = keys.find((key) => !tensors.has(key));
      if (missing !== undefined) {
        throw new TorchSearchError(
          "ERR_DATA_KEYS",
          `${file} has no tensor "${missing}"; it has ${listed(names)}.`,
        );
      }
      return new Map(keys.map((key) => [key, tensors.get(key) as RawTensor]));
    });
  }

  /** The arrays of some names, in that order. @throws `ERR_DATA_KEYS`, `ERR_DATA_FILE` for a damaged array */
  async arrays(keys: readonly string[] = this.names): Promise<Arrays> {
    return this.#read(keys);
  }
}

/** The bytes of a file. @throws `ERR_DATA_FILE` */
export async function readDataFile(file: string): Promise<Uint8Array> {
  requirePath(file, "A loader of files");
  // The bytes become tensors. Making these must not wait for LibTorch.
  await whenLoaded();
  try {
    return await readRegularFile(file);
  } catch (error) {
    throw new TorchSearchError("ERR_DATA_FILE", `${file} can't be read: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

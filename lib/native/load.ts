import { existsSync } from "node:fs";
import path from "node:path";
import { isMainThread } from "node:worker_threads";

import { TorchSearchError } from "../errors";
import { type AddonFile, listAddonFiles } from "./addon-files";
import { computeThreads } from "./compute-threads";
import { isWithoutGlibc, unsupportedLibc } from "./libc";
import { type LibTorch, locateLibTorch } from "./locate";
import { BUILD_COMMAND, packageRoot, SETUP_COMMAND, sharedLibrary } from "./paths";
import type { LibraryExports } from "./types/library";

interface Loader {
  openLibrary(file: string): void;
  openLibraryAsync(file: string): Promise<void>;
}

/** What was loaded, for `torchsearch doctor`. */
export interface Loaded<Addon> {
  addon: Addon;
  libTorch: LibTorch;
  file: AddonFile;
  /** Why LibTorch's CUDA libraries, which are there, could not be opened. */
  cudaProblem?: string;
}

/**
 * Chooses the build that belongs to a LibTorch: its C++ ABI changes with each minor version.
 *
 * @throws TorchSearchError `ERR_ADDON_NOT_FOUND`, `ERR_LIBTORCH_MISMATCH`
 */
export function chooseAddon(libTorch: LibTorch, files: AddonFile[]): AddonFile {
  const match = files.find((file) => file.torch === libTorch.minor);
  if (match !== undefined) return match;
  if (files.length === 0) {
    throw new TorchSearchError(
      "ERR_ADDON_NOT_FOUND",
      `There is no build of torchsearch's addon for ${process.platform}-${process.arch}. ` +
        `Build it from source, which takes CMake, a C++20 compiler and some minutes: \`${SETUP_COMMAND ?? BUILD_COMMAND}\`${SETUP_COMMAND === null ? "" : ` in ${packageRoot}`}.`,
    );
  }
  const versions = files.map((file) => `${file.torch} (${file.kind})`).join(", ");
  throw new TorchSearchError(
    "ERR_LIBTORCH_MISMATCH",
    `The LibTorch found is ${libTorch.version} (${libTorch.source}: ${libTorch.root}), but torchsearch's addon is built ` +
      `for ${versions}. Set TORCHSEARCH_LIBTORCH to a LibTorch of that version, or build for this one with ` +
      `\`${BUILD_COMMAND}\`, which takes CMake, a C++20 compiler and some minutes.`,
  );
}

function libraryOf(libTorch: LibTorch, name: string): string {
  return path.join(libTorch.root, "lib", sharedLibrary(name));
}

function requireLoader(file: AddonFile): Loader {
  try {
    return require(file.loader) as Loader;
  } catch (cause) {
    throw new TorchSearchError(
      "ERR_ADDON_LOAD",
      `The loader ${file.loader} cannot be loaded: ${(cause as Error).message}. Build again with \`${BUILD_COMMAND}\`.`,
      { cause },
    );
  }
}

/** Opens LibTorch's libraries, dependencies first. Gives the reason when only the CUDA part cannot be opened. */
function openLibTorch(libTorch: LibTorch, loader: Loader): string | undefined {
  const open = (name: string) => loader.openLibrary(libraryOf(libTorch, name));
  try {
    open("c10");
    open("torch_cpu");
  } catch (cause) {
    throw new TorchSearchError(
      "ERR_LIBTORCH_LOAD",
      `LibTorch ${libTorch.version} at ${libTorch.root} cannot be opened: ${(cause as Error).message}. ` +
        "Reinstall it, or set TORCHSEARCH_LIBTORCH to another one.",
      { cause },
    );
  }
  if (!libTorch.cuda) return undefined;
  try {
    open("c10_cuda");
    // Opening it registers the CUDA kernels; nothing links to it, so nothing else would.
    open("torch_cuda");
    return undefined;
  } catch (problem) {
    return (problem as Error).message;
  }
}

/** Opening it registers CUDA graphs, where this build has them. Without it models run operator by operator. */
function openCudaGraphs(file: AddonFile, loader: Loader): void {
  const library = path.join(path.dirname(file.file), "torchsearch_cuda.so");
  if (!existsSync(library)) return;
  try {
    loader.openLibrary(library);
  } catch {
    // `graphCapture().offered` shows it.
  }
}

function load(): Loaded<LibraryExports> {
  const libTorch = locateLibTorch();
  const file = chooseAddon(libTorch, listAddonFiles());
  const loader = requireLoader(file);
  const cudaProblem = openLibTorch(libTorch, loader);
  if (libTorch.cuda && cudaProblem === undefined) openCudaGraphs(file, loader);
  let addon: LibraryExports;
  try {
    addon = require(file.file) as LibraryExports;
  } catch (cause) {
    throw new TorchSearchError(
      "ERR_ADDON_LOAD",
      `The addon ${file.file} cannot be loaded with LibTorch ${libTorch.version} at ${libTorch.root}: ` +
        `${(cause as Error).message}. Build again with \`${BUILD_COMMAND}\`.`,
      { cause },
    );
  }
  addon.init({ TorchSearchError });
  // OpenMP's own default knows the environment and the affinity.
  const { count, source } = computeThreads();
  if (source === "quota") addon.setDefaultThreads(count);
  // Workers end by themselves; the process ends on its main thread.
  if (isMainThread) process.on("exit", () => addon.leave());
  return { addon, libTorch, file, ...(cudaProblem === undefined ? {} : { cudaProblem }) };
}

let loaded: Loaded<LibraryExports> | undefined;
let opening: Promise<void> | undefined;

/** Opens LibTorch's libraries on a thread of libuv's pool, so that loading the addon then finds them open. */
async function openInBackground(): Promise<void> {
  try {
    const libTorch = locateLibTorch();
    const loader = requireLoader(chooseAddon(libTorch, listAddonFiles()));
    for (const name of ["c10", "torch_cpu", ...(libTorch.cuda ? ["c10_cuda", "torch_cuda"] : [])]) {
      await loader.openLibraryAsync(libraryOf(libTorch, name));
    }
  } catch {
    // Loading the addon meets the same problem, and says what to do.
  }
}

/** Undefined once the addon is loaded; until then, what to wait for before a call that must not block. */
export function whenLoaded(): Promise<void> | undefined {
  if (loaded !== undefined) return undefined;
  opening ??= openInBackground().finally(() => {
    opening = undefined;
  });
  return opening;
}

/**
 * Opens LibTorch and loads the addon, for the most part off the event loop, which opening it would hold up for about a
 * third of a second. What returns a promise does this by itself; call it before the first `Tensor.from` or data loader
 * in a process that must stay responsive. Calling it again costs nothing.
 *
 * @throws `ERR_LIBTORCH_NOT_FOUND`, `ERR_LIBTORCH_MISMATCH`, `ERR_LIBTORCH_LOAD`, `ERR_ADDON_NOT_FOUND`,
 *   `ERR_ADDON_INVALID`, `ERR_ADDON_LOAD`, `ERR_LIBC`; a failure is tried again at the next call
 *
 * @example
 * ```ts
 * await initialize();
 * console.log(Tensor.from(new Float32Array(64), [1, 1, 8, 8]).shape); // [1, 1, 8, 8]
 * ```
 */
export async function initialize(): Promise<void> {
  await whenLoaded();
  loadNative();
}

/** Loads the addon once and returns what was loaded; a failure is tried again at the next call. */
export function loadNativeDetails<Addon extends LibraryExports = LibraryExports>(): Loaded<Addon> {
  try {
    loaded ??= load();
  } catch (error) {
    throw isWithoutGlibc() ? unsupportedLibc(error) : error;
  }
  return loaded as Loaded<Addon>;
}

/**
 * The addon, loaded at the first call: importing torchsearch opens nothing.
 *
 * @throws TorchSearchError `ERR_LIBTORCH_NOT_FOUND`, `ERR_LIBTORCH_MISMATCH`, `ERR_LIBTORCH_LOAD`,
 * `ERR_ADDON_NOT_FOUND`, `ERR_ADDON_INVALID`, `ERR_ADDON_LOAD`, `ERR_LIBC`
 */
export function loadNative<Addon extends LibraryExports = LibraryExports>(): Addon {
  return loadNativeDetails<Addon>().addon;
}

/** Fetching LibTorch out of PyTorch's wheel, for a machine without Python or without PyTorch. */
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";

import { TorchSearchError } from "../errors";
import { minorOf, minorsOfAddons } from "../native/addon-files";
import { downloadFolder, downloadRoot } from "../native/downloads";
import { readLibTorchVersion } from "../native/locate";
import { sharedLibrary } from "../native/paths";
import { abortError } from "../util/abort";
import { makeScratchFolder } from "../util/atomic-file";
import type { ProgressListener } from "../util/progress";
import { fetchFile } from "./fetch-file";
import { downloadByPip, pythonWithPip } from "./pip";
import { listFiles } from "./python-index";
import { indexSetting } from "./settings";
import { unpack } from "./wheel-archive";
import { chooseWheel, isVariant, parseWheelName } from "./wheel-choice";

/** What to fetch. */
export interface SetupRequest {
  /** The minor version, such as `2.13`; null for the one that the addon here needs. */
  torch: string | null;
  /** `cpu`, a tag such as `cu126`, or `cuda` for any of those. */
  variant: string;
  /** The address of the index; null for what the settings name. */
  index: string | null;
  /** Whether pip is used where Python has it. */
  python: boolean;
  /** Whether headers are unpacked too, for `torchsearch build`. */
  headers: boolean;
  signal?: AbortSignal | null;
  onProgress?: ProgressListener | null;
  /** Receives lines for people. */
  say?: (line: string) => void;
}

/** A LibTorch that is ready. */
export interface SetupResult {
  /** Such as `2.13.0+cpu`. */
  version: string;
  root: string;
  /** False where it was there already. */
  fetched: boolean;
}

/**
 * Fetches the wheel of one minor version, checks its hash, and unpacks its libraries into the user's cache, where
 * `locateLibTorch` finds them. A folder gets its name only when everything is in it.
 *
 * @throws `ERR_SETUP_INDEX`, `ERR_SETUP_NO_WHEEL`, `ERR_SETUP_ARCHIVE`, `ERR_DOWNLOAD`, `ERR_DOWNLOAD_HASH`,
 *   `ERR_ADDON_NOT_FOUND` where no version is given and no build of the addon says which one is needed
 */
export async function setupLibTorch(asked: SetupRequest): Promise<SetupResult> {
  try {
    return await fetchAndInstall(asked);
  } catch (error) {
    throw asked.signal?.aborted ? abortError(asked.signal) : error;
  }
}

async function fetchAndInstall(asked: SetupRequest): Promise<SetupResult> {
  const { variant, say = () => undefined, signal = null, onProgress = null } = asked;
  const minor = asked.torch ?? minorsOfAddons()[0];
  if (minor === undefined) {
    throw new TorchSearchError(
      "ERR_ADDON_NOT_FOUND",
      `There is no build of the addon for ${process.platform}-${process.arch}, so any LibTorch from 2.11 on will do: name one ` +
        "with --torch 2.13 and --headers, then run `npx torchsearch build`.",
    );
  }
  const folder = downloadFolder();
  await mkdir(folder, { recursive: true });
  const python = asked.python ? pythonWithPip() : null;
  const control = { signal, onProgress, say };
  const take = (wheel: string): Promise<SetupResult> =>
    install(wheel, { ...asked, minor, folder, signal, onProgress });
  if (python !== null) {
    // Without a setting of ours pip goes by its own, which may hold more than an address.
    const indexes = namesIndex(asked.index) ? indexSetting(asked.index, variant).indexes : null;
    return downloadByPip(python, minor, indexes, folder, control, async (wheel) => {
      const build = parseWheelName(path.basename(wheel))?.variant ?? null;
      if (variant !== "cpu" && build !== null && !isVariant(build, variant)) {
        throw new TorchSearchError(
          "ERR_SETUP_NO_WHEEL",
          `pip's index gave the build ${build}, and not ${variant}. Name the index of that build (--index).`,
        );
      }
      if (variant === "cpu" && build !== null && build !== "cpu") {
        say(
          `The index gave the build ${build}: it runs on the CPU too, but is much larger than a CPU build.`,
        );
      }
      return take(wheel);
    });
  }
  const { indexes, from } = indexSetting(asked.index, variant);
  const lists = await Promise.all(indexes.map((index) => listFiles(index, signal)));
  const wheel = chooseWheel(lists.flat(), minor, variant);
  const ready = downloadRoot(wheel.version);
  if (isComplete(ready, minor, asked.headers)) return { version: wheel.version, root: ready, fetched: false };
  say(`Fetching ${wheel.name} (index: ${from}).`);
  const file = await fetchFile(wheel, path.join(folder, "wheels"), control);
  try {
    return await take(file);
  } finally {
    // One that can't be unpacked is of no use either.
    await rm(file, { force: true });
  }
}

/** Whether a setting of ours, rather than pip's, names the index. */
function namesIndex(given: string | null): boolean {
  return (
    given !== null ||
    Boolean(process.env.TORCHSEARCH_PYTHON_INDEX || process.env.npm_config_torchsearch_index)
  );
}

function isComplete(root: string, minor: string, headers: boolean): boolean {
  const version = readLibTorchVersion(root);
  return (
    version !== undefined &&
    minorOf(version) === minor &&
    ["c10", "torch_cpu"].every((name) => existsSync(path.join(root, "lib", sharedLibrary(name)))) &&
    (!headers || existsSync(path.join(root, "include", "torch")))
  );
}

/** Whether a file of the wheel is needed: libraries, but those of Python; headers where they are asked for. */
export function isNeeded(name: string, headers: boolean): boolean {
  if (/^torch\.libs\//.test(name) || /^torch\/\.dylibs\//.test(name)) return true;
  if (name === "torch/version.py") return true;
  if (/^torch-[^/]+\.dist-info\/(licenses\/.*|LICENSE|NOTICE)$/.test(name)) return true;
  if (/^torch\/lib\/[^/]+$/.test(name)) return !/torch_python|\.(a|pdb)$/.test(name);
  return headers && /^torch\/(include|share\/cmake)\//.test(name);
}

async function install(
  wheel: string,
  {
    minor,
    folder,
    headers,
    signal,
    onProgress,
  }: SetupRequest & {
    minor: string;
    folder: string;
    signal: AbortSignal | null;
    onProgress: ProgressListener | null;
  },
): Promise<SetupResult> {
  const temporary = await makeScratchFolder(path.join(folder, "unpacking"));
  try {
    await unpack(wheel, temporary, (name) => isNeeded(name, headers), {
      signal,
      onFile: (done, total) => onProgress?.({ phase: "unpack", done, total, message: `file ${done + 1}` }),
    });
    const made = path.join(temporary, "torch");
    const version = readLibTorchVersion(made);
    if (version === undefined || !isComplete(made, minor, headers)) {
      throw new TorchSearchError(
        "ERR_SETUP_ARCHIVE",
        `The wheel can't be unpacked: it holds ${version === undefined ? "no LibTorch" : `LibTorch ${version}`}, and LibTorch ${minor} ` +
          "for this platform is needed.",
      );
    }
    const target = path.dirname(downloadRoot(version));
    // One that lacks headers, or was damaged, makes way; one that another process just made stays.
    if (!isComplete(downloadRoot(version), minor, headers)) {
      await rm(target, { recursive: true, force: true });
      await rename(temporary, target);
    }
    return { version, root: downloadRoot(version), fetched: true };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Where `torchsearch setup` puts LibTorch, and what is there. */
import { existsSync, readdirSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { minorOf } from "./addon-files";

/** The user's own cache folder for torchsearch; nobody else may write there. */
export function cacheFolder(): string {
  const set = process.env.XDG_CACHE_HOME;
  if (set && path.isAbsolute(set)) return path.join(set, "torchsearch");
  return process.platform === "darwin"
    ? path.join(os.homedir(), "Library", "Caches", "torchsearch")
    : path.join(os.homedir(), ".cache", "torchsearch");
}

/** The folder of all downloads; each LibTorch is in a folder named by its version, such as `2.13.0+cpu`. */
export function downloadFolder(): string {
  return path.join(cacheFolder(), "libtorch", `${process.platform}-${process.arch}`);
}

/** The root of a download. */
export function downloadRoot(version: string): string {
  return path.join(downloadFolder(), version, "torch");
}

/** The newest download of one of some minor versions, or why there is none. */
export function downloadedLibTorch(minors: readonly string[]): { root: string } | { problem: string } {
  const folder = downloadFolder();
  const versions = existsSync(folder)
    ? readdirSync(folder).filter((name) => minorOf(name) !== undefined && existsSync(downloadRoot(name)))
    : [];
  if (versions.length === 0) return { problem: `nothing fetched in ${folder}` };
  const fitting = versions.filter(
    (version) => minors.length === 0 || minors.includes(minorOf(version) ?? ""),
  );
  if (fitting.length === 0) {
    return { problem: `${folder} has ${versions.join(", ")}, and the addon needs ${minors.join(" or ")}` };
  }
  const [newest] = fitting.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  return { root: downloadRoot(newest as string) };
}

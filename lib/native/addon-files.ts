/** The builds of the addon that lie on this machine. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import bindings from "bindings";

import { TorchSearchError } from "../errors";
import { BUILD_COMMAND, packageRoot } from "./paths";

/** One build of the addon that lies on this machine. */
export interface AddonFile {
  kind: "local build" | "prebuilt";
  file: string;
  /** The loader addon that belongs to it. */
  loader: string;
  /** The LibTorch minor version it was built against, such as `2.13`. */
  torch: string;
}

/** `2.13.0+cpu` → `2.13`; undefined when it is not a version. */
export function minorOf(version: string): string | undefined {
  return /^(\d+\.\d+)(?:\.|$)/.exec(version)?.[1];
}

const PREBUILDS = path.join(packageRoot, "prebuilds", `${process.platform}-${process.arch}`);

/** The local build, as `bindings` finds it, or undefined when there is none. */
function localBuild(): AddonFile | undefined {
  // With `path`, which its types don't know, bindings returns the file's path and doesn't load it.
  const find = bindings as unknown as (options: {
    bindings: string;
    module_root: string;
    path: true;
  }) => string;
  const resolve = (name: string) => find({ bindings: name, module_root: packageRoot, path: true });
  let file: string;
  let loader: string;
  try {
    file = resolve("torchsearch");
    loader = resolve("torchsearch_loader");
  } catch {
    return undefined;
  }
  try {
    const record = path.join(path.dirname(file), "torchsearch.json");
    const { torch } = JSON.parse(readFileSync(record, "utf8")) as { torch: string };
    return { kind: "local build", file, loader, torch: minorOf(torch) ?? torch };
  } catch (cause) {
    throw new TorchSearchError(
      "ERR_ADDON_INVALID",
      `The addon ${file} has no readable torchsearch.json beside it, which holds its LibTorch version. ` +
        `Build again with \`${BUILD_COMMAND}\`.`,
      { cause },
    );
  }
}

function prebuilts(): AddonFile[] {
  if (!existsSync(PREBUILDS)) return [];
  return readdirSync(PREBUILDS).flatMap((name): AddonFile[] => {
    const torch = /^torchsearch-torch(\d+\.\d+)\.node$/.exec(name)?.[1];
    if (torch === undefined) return [];
    const loader = path.join(PREBUILDS, "torchsearch_loader.node");
    return [{ kind: "prebuilt", file: path.join(PREBUILDS, name), loader, torch }];
  });
}

/** Every build of the addon on this machine, the local one first. */
export function listAddonFiles(): AddonFile[] {
  const local = localBuild();
  return local === undefined ? prebuilts() : [local, ...prebuilts()];
}

/** The LibTorch minor versions that builds of the addon here are for, newest first. Empty where there is none. */
export function minorsOfAddons(): string[] {
  let files: AddonFile[];
  try {
    files = listAddonFiles();
  } catch {
    // Loading the addon meets the same problem, and says what to do.
    files = [];
  }
  const part = (minor: string): number => Number(minor.split(".")[1]);
  return [...new Set(files.map(({ torch }) => torch))].sort((a, b) => part(b) - part(a));
}

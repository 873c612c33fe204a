import os from "node:os";

import { addon } from "./addon";

/** The version of this library. */
export const LIBRARY_VERSION = (require("../../package.json") as { version: string }).version;

/** The versions that made a result, so that it can be made again. */
export interface RunVersions {
  /** This package's version. */
  torchsearch: string;
  /** Such as `2.13.0+cpu`. */
  libtorch: string;
  /** Such as `v20.20.2`. */
  node: string;
  /** Such as `linux-x64`. */
  platform: string;
  /** The processor's model. */
  cpu: string;
  /** Where the model ran, such as `cpu`. */
  device: string;
}

/** The versions of this library and of the LibTorch it runs on. Loads the addon. */
export function libraryVersions(): { torchsearch: string; libtorch: string } {
  return { torchsearch: LIBRARY_VERSION, libtorch: addon().versions().torch };
}

/** The versions of this process. Loads the addon. */
export function runVersions(device: string): RunVersions {
  return {
    ...libraryVersions(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    cpu: os.cpus()[0]?.model.trim() ?? "unknown",
    device,
  };
}

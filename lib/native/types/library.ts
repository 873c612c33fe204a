import type { TorchSearchError } from "../../errors";

/** What the addon was built with. */
export interface NativeVersions {
  torch: string;
  napi: number;
  /** The instructions that LibTorch's kernels use on this processor, such as `AVX2`. */
  cpuCapability: string;
  cuda: boolean;
}

/** Exported by native/binding/addon.cpp. */
export interface LibraryExports {
  /** Hands over the class whose instances native errors become. */
  init(classes: { TorchSearchError: typeof TorchSearchError }): void;
  versions(): NativeVersions;
  /** Threads that LibTorch uses inside one operator, from the next job on. */
  setThreads(count: number): void;
  /** As setThreads, unless somebody has called either in this process. */
  setDefaultThreads(count: number): void;
  getThreads(): number;
  /** For the moment before the process exits: ends the compute thread, or leaves without what races with it. */
  leave(): void;
  /** Gives a cancelled call up that still runs: those that wait, and all until it ends, reject with ERR_BUSY. */
  giveUp(): void;
}

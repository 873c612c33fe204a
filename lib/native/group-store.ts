/** The store that a group of processes shares; `lib/distributed/` has what is built on it. */
import { addon } from "./addon";
import { callNative } from "./call";
import type { NativeGroupStore, NativeStoreOptions } from "./types/group-store";

/** Joins a store, or opens it here. @throws `ERR_GROUP_CONNECT`, `ERR_GROUP_ENV`, `ERR_ABORTED` */
export async function joinStore(
  options: NativeStoreOptions,
  signal: AbortSignal | null,
): Promise<{ store: NativeGroupStore; port: number }> {
  const joined = await callNative(async (call) => {
    const store = new (addon().GroupStore)();
    return { store, port: await store.join(options, call) };
  }, signal);
  return joined;
}

/** Waits for keys; false when they are not there in time, or the signal was aborted. */
export function waitForKeys(
  store: NativeGroupStore,
  keys: readonly string[],
  milliseconds: number,
  signal: AbortSignal | null,
): Promise<boolean> {
  return callNative((call) => store.wait(keys, milliseconds, call), signal);
}

/** The instructions that LibTorch's kernels use on this processor, such as `AVX2`: other ones round differently. */
export function cpuCapability(): string {
  return addon().versions().cpuCapability;
}

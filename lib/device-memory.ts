/** What LibTorch's allocator holds of a device's memory. */
import { addon } from "./native/addon";

/** Bytes of a device's memory. Peaks count from {@link resetDeviceMemoryPeak}, or from the process's start. */
export interface DeviceMemory {
  /** Of tensors. */
  allocated: number;
  peakAllocated: number;
  /** Of what the allocator holds, for these tensors and later ones. */
  reserved: number;
  peakReserved: number;
}

/**
 * What LibTorch's caching allocator holds of a device's memory, as `torch.cuda.memory_allocated` and the like tell it.
 *
 * @param device such as `"cuda:0"`, as in `Module.load`
 * @returns null for the CPU, whose allocator keeps no account: `process.memoryUsage().rss` counts it
 * @throws `ERR_DEVICE`
 */
export function deviceMemory(device: string): DeviceMemory | null {
  return addon().deviceMemory(device);
}

/** Lets the peaks of {@link deviceMemory} count from now on. @throws `ERR_DEVICE` */
export function resetDeviceMemoryPeak(device: string): void {
  addon().resetDeviceMemoryPeak(device);
}

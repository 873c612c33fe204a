/** Accelerators; `lib/model/device.ts` has the public functions. */
import { addon } from "./addon";
import type { NativeDeviceMemory, NativeGraphCapture } from "./types/device";

/** Null for the CPU. @throws `ERR_DEVICE` */
export function deviceMemory(device: string): NativeDeviceMemory | null {
  return addon().deviceMemory(device);
}

/** @throws `ERR_DEVICE` */
export function resetDeviceMemoryPeak(device: string): void {
  addon().resetDeviceMemoryPeak(device);
}

export function setGraphCapture(on: boolean): void {
  addon().setGraphCapture(on);
}

/** @throws `ERR_DEVICE` */
export function graphCapture(device: string): NativeGraphCapture {
  return addon().graphCapture(device);
}

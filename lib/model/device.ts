/** Accelerators: their memory, as LibTorch's allocator holds it, and graphs of kernels. */
import * as native from "../native/device";
import { expected } from "../util/check";

/** Bytes of a device's memory. Peaks count from {@link resetDeviceMemoryPeak}, or from the process's start. */
export interface DeviceMemory {
  /** Bytes of tensors. */
  allocated: number;
  /** The most that tensors took since the last reset. */
  peakAllocated: number;
  /** Bytes that the allocator holds, for these tensors and later ones. */
  reserved: number;
  /** The most that the allocator held since the last reset. */
  peakReserved: number;
}

/**
 * The memory of a device that LibTorch's caching allocator holds, as `torch.cuda.memory_allocated` and the like report
 * it.
 *
 * @param device such as `"cuda:0"`, as in `Module.load`
 * @returns null for the CPU, whose allocator keeps no account: `process.memoryUsage().rss` counts it
 * @throws `ERR_DEVICE`
 *
 * @example
 * ```ts
 * const memory = deviceMemory(module.device); // null on the CPU
 * console.log(memory?.peakAllocated);
 * ```
 */
export function deviceMemory(device: string): DeviceMemory | null {
  return native.deviceMemory(requireDevice(device));
}

/**
 * Lets the peaks of {@link deviceMemory} count from now on.
 *
 * @throws `ERR_DEVICE`
 *
 * @example
 * ```ts
 * resetDeviceMemoryPeak(module.device);
 * await scoreFunc(module);
 * console.log(deviceMemory(module.device)?.peakAllocated);
 * ```
 */
export function resetDeviceMemoryPeak(device: string): void {
  native.resetDeviceMemoryPeak(requireDevice(device));
}

/** Whether models that are evaluated run as graphs of kernels; see {@link setGraphCapture}. */
export interface GraphCapture {
  /** As {@link setGraphCapture} has set it. */
  on: boolean;
  /** Whether this LibTorch can capture on the device at all. */
  offered: boolean;
}

/**
 * Lets scores and forward loops of a `Module` on an accelerator capture one forward of each shape of inputs as a graph
 * of its kernels, and launch the graph as a whole for further batches. It is a CUDA graph, where the addon was built
 * with CUDA's headers. It helps models with kernels so short that launching them takes most of the time. Off by
 * default.
 *
 * A shape is captured at its third batch in a row, and never where the model draws random numbers or changes its state
 * or its inputs. Where the device offers no graphs ({@link graphCapture}) or capturing fails, models run kernel by
 * kernel. Scores differ by no more than rounding.
 *
 * @param on whether graphs are captured, from the next batch on; false also drops the present ones then
 * @throws `ERR_ARGUMENT`
 *
 * @example
 * ```ts
 * setGraphCapture(false); // every kernel is launched by itself
 * await scoreFunc(module);
 * ```
 */
export function setGraphCapture(on: boolean): void {
  if (typeof on !== "boolean") throw expected("ERR_ARGUMENT", "true or false", "on", on);
  native.setGraphCapture(on);
}

/**
 * Whether graphs are captured, and can be on a device.
 *
 * @param device such as `"cuda:0"`, as in `Module.load`
 * @throws `ERR_DEVICE`
 *
 * @example
 * ```ts
 * console.log(graphCapture(module.device));
 * ```
 */
export function graphCapture(device: string): GraphCapture {
  return native.graphCapture(requireDevice(device));
}

function requireDevice(device: unknown): string {
  if (typeof device === "string") return device;
  throw expected("ERR_DEVICE", 'a name such as "cpu" or "cuda:0"', "device", device);
}

/** Bytes of a device's memory that LibTorch's allocator holds. */
export interface NativeDeviceMemory {
  allocated: number;
  peakAllocated: number;
  reserved: number;
  peakReserved: number;
}

/** Whether evaluated models may be captured as graphs of kernels, and whether LibTorch can capture on the device. */
export interface NativeGraphCapture {
  on: boolean;
  offered: boolean;
}

/** Exported by native/binding/device.cpp. */
export interface DeviceExports {
  /** Null for the CPU. ERR_DEVICE */
  deviceMemory(device: string): NativeDeviceMemory | null;
  resetDeviceMemoryPeak(device: string): void;
  setGraphCapture(on: boolean): void;
  /** ERR_DEVICE */
  graphCapture(device: string): NativeGraphCapture;
}

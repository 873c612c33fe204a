import type { NativeCall } from "./call";
import type { NativeTensor } from "./tensor";

/** A number format, complete; see `NumberFormat`. */
export interface NativeNumberFormat {
  type: "int" | "e4m3" | "e5m2";
  bits: number;
  symmetric: boolean;
  granularity: "tensor" | "channel" | "block";
  /** 0 without blocks. */
  blockSize: number;
  calibration: "max" | "percentile" | "meanSquaredError";
  percentile: number;
}

export interface NativeLayerFormat {
  name: string;
  weight: NativeNumberFormat | null;
  activation: NativeNumberFormat | null;
}

/** A tensor on the grid of a format. */
export interface NativeFakeQuantized {
  values: NativeTensor;
  scale: NativeTensor;
  zeroPoint: NativeTensor | null;
}

/** Exported by native/binding/quantization_space.cpp. */
export interface NumberFormatExports {
  /** Rounds a tensor to a format, calibrated on itself. */
  fakeQuantize(
    tensor: NativeTensor,
    format: NativeNumberFormat,
    axis: number,
    call: NativeCall,
  ): Promise<NativeFakeQuantized>;
}

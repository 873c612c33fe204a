import type { NativeCall } from "./call";
import type { NativeModule } from "./module";

/** The measurements to make; without `latency` nothing is timed. `threads` of 0 keeps LibTorch's number. */
export interface NativeProfileOptions {
  latency: boolean;
  warmup: number;
  repeats: number;
  threads: number;
}

/** Times in milliseconds. */
export interface NativeLatency {
  median: number;
  mean: number;
  min: number;
  max: number;
  p10: number;
  p50: number;
  p90: number;
  p99: number;
  warmup: number;
  runs: number;
  threads: number;
}

/** One executed tensor operator. */
export interface NativeOperatorProfile {
  name: string;
  op: string;
  inputShapes: number[][];
  outputShapes: number[][];
  params: number;
  macs: number;
  latencyMs: number | null;
}

export interface NativeProfile {
  params: number;
  macs: number;
  size: number;
  memory: number;
  latency: NativeLatency | null;
  operators: NativeOperatorProfile[];
  device: string;
  notes: string[];
}

/** Exported by native/binding/profile.cpp. */
export interface ProfileExports {
  profile(
    module: NativeModule,
    args: unknown[],
    kwargs: Record<string, unknown>,
    options: NativeProfileOptions,
    call: NativeCall,
  ): Promise<NativeProfile>;
}

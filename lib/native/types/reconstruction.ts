import type { NativeMeasure } from "./importance";

/** Gathers inputs of layers that a subnet narrows; `SearchSpace.measure` feeds it. */
export interface NativeReconstruction extends NativeMeasure {
  /** The layers that `SearchSpace.findNarrowedLayers` found, and the memory that the sums of their inputs take. */
  layers(): { parameter: string; bytes: number }[];
  /** Which of them are gathered from now on, beginning with nothing. ERR_ARGUMENT */
  collect(layers: number[]): void;
}

/** Which shares of a layer's outputs, in squares, a subnet missed and misses. */
export interface NativeReconstructedLayer {
  parameter: string;
  before: number;
  after: number;
}

/** Exported by native/binding/reconstruction.cpp. */
export interface ReconstructionExports {
  /** `keeps`: what was gathered serves one subnet after the other. */
  Reconstruction: new (
    keeps: boolean,
  ) => NativeReconstruction;
}

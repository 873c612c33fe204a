/** What PyTorch gave; made by scripts/fixtures/quantization_oracle.py. */
import { readFileSync } from "node:fs";
import path from "node:path";

import { root } from "../support/zoo";

type ByFormat = Record<"int8" | "int4", number>;

interface OracleCase {
  spec: {
    type: "int" | "e4m3" | "e5m2";
    bits: number;
    symmetric: boolean;
    granularity: "tensor" | "channel" | "block";
    blockSize?: number;
    calibration: "max" | "percentile" | "meanSquaredError";
    percentile?: number;
    axis: number;
  };
  scale: number[];
  zeroPoint: number[] | null;
  values: number[];
}

export const oracle = JSON.parse(
  readFileSync(path.join(root, "test", "oracle", "quantization.json"), "utf8"),
) as {
  shape: number[];
  input: number[];
  cases: OracleCase[];
  model: {
    calibrationBatches: number;
    batchSize: number;
    layers: string[];
    logits: Record<"int8" | "int4", number[]>;
    gradients: Record<string, ByFormat>;
    divergences: Record<string, ByFormat>;
  };
};

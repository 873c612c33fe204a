/** Patterns of zeros that a model's history claims, and whether its weights have them. */
import { TorchSearchError } from "../errors";
import type { ModeRecord } from "./history";
import type { Module } from "./module";
import type { Tensor } from "./tensor";

/** N of each M neighbours along a weight's input channels stay. */
export interface ClaimedPattern {
  n: number;
  m: number;
  /** Paths of the layers. */
  layers: string[];
}

/** Weights that are looked at in one go, so that the event loop is never held up for long. */
const CHUNK = 1 << 19;

/** The patterns N:M in a history; a later one doesn't undo an earlier one. */
export function claimedPatterns(records: readonly ModeRecord[]): ClaimedPattern[] {
  const claims: ClaimedPattern[] = [];
  for (const { config, result } of records) {
    const pattern = typeof config.pattern === "string" ? /^(\d+):(\d+)$/.exec(config.pattern) : null;
    const densities = result.config;
    if (pattern === null || typeof densities !== "object" || densities === null) continue;
    const layers = Object.entries(densities).filter(
      ([, density]) => typeof density === "number" && density < 1,
    );
    if (layers.length === 0) continue;
    claims.push({ n: Number(pattern[1]), m: Number(pattern[2]), layers: layers.map(([name]) => name) });
  }
  return claims;
}

/**
 * Refuses a module whose weights don't have the zeros that its history is going to claim.
 *
 * @throws `ERR_SPARSE_PATTERN`
 */
export async function requireClaimedPatterns(module: Module, records: readonly ModeRecord[]): Promise<void> {
  const claims = claimedPatterns(records);
  if (claims.length === 0) return;
  const parameters = new Map(module.namedParameters().map(({ name, tensor }) => [name, tensor]));
  for (const { n, m, layers } of claims) {
    for (const layer of layers) {
      // A layer whose block was left out is gone.
      const weight = parameters.get(`${layer}.weight`) ?? parameters.get(layer);
      if (weight === undefined || (await followsAlong(1, weight, n, m))) continue;
      // The inputs of `x @ weight` and of a transposed convolution are the first dimension.
      if (await followsAlong(0, weight, n, m)) continue;
      throw new TorchSearchError(
        "ERR_SPARSE_PATTERN",
        `The weights of ${layer} would not be ${n}:${m} sparse any more, as the model's history says that they are, so the module was not given out. Keep widths that are multiples of ${m}, in whole neighbourhoods; or search widths first, and make the result sparse.`,
      );
    }
  }
}

/** Whether at most n of each m neighbours along a dimension are other than zero. */
async function followsAlong(dimension: 0 | 1, weight: Tensor, n: number, m: number): Promise<boolean> {
  const inputs = weight.shape[dimension] ?? 0;
  if (inputs % m !== 0) return false;
  const size = (sizes: readonly number[]) => sizes.reduce((product, next) => product * next, 1);
  const rows = size(weight.shape.slice(0, dimension));
  const step = size(weight.shape.slice(dimension + 1));
  const values = weight.data() as ArrayLike<number>;
  // Of 16-bit floats there are the bits, whose first one is the sign.
  const isZero = weight.dtype.endsWith("float16")
    ? (bits = 0) => (bits & 0x7fff) === 0
    : (value = 0) => value === 0;
  let seen = 0;
  for (let row = 0; row < rows; row += 1) {
    for (let first = 0; first < inputs; first += m) {
      const base = (row * inputs + first) * step;
      for (let place = base; place < base + step; place += 1) {
        let kept = 0;
        for (let k = 0; k < m; k += 1) kept += isZero(values[place + k * step]) ? 0 : 1;
        if (kept > n) return false;
      }
      seen += m * step;
      if (seen < CHUNK) continue;
      seen = 0;
      await new Promise(setImmediate);
    }
  }
  return true;
}

/** Checkpoints of real searches on spaces without LibTorch, to make reports of. */
import path from "node:path";

import { BinarySearcher, type Constraints, EvolveSearcher, MilpSearcher, ParetoSearcher } from "../../lib";
import { chainSpace } from "../support/chain-space";

const SEARCHERS = { BinarySearcher, EvolveSearcher, MilpSearcher, ParetoSearcher };

/**
 * Searches a chain of layers, whose score falls the more the wider layers are narrowed, and gives the checkpoint's file.
 */
export async function searched(
  folder: string,
  name: keyof typeof SEARCHERS,
  layers: number,
  constraints: Constraints = { macs: "50%" },
  annotations: Record<string, unknown> = {},
): Promise<string> {
  const { space } = chainSpace({
    layers: Array.from({ length: layers }, () => [8, 16, 24, 32]),
    positions: Array.from({ length: layers }, (_, i) => [64, 16, 4][i % 3] as number),
  });
  const checkpoint = path.join(folder, `${name}-${layers}.search.safetensors`);
  const searcher = new SEARCHERS[name]();
  searcher.annotations = annotations;
  const sizes =
    name === "EvolveSearcher" || name === "ParetoSearcher" ? { numIters: 60, populationSize: 10 } : {};
  await searcher.search(space, constraints, null, {
    ...sizes,
    ...(name === "EvolveSearcher" && { candidateSize: 4 }),
    verbose: false,
    checkpoint,
    scoreFunc: () =>
      Object.values(space.active).reduce(
        (sum, width, i) => sum + (((i * 7) % 5) + 1) * Math.log(width / 32),
        0,
      ) / layers,
  });
  return checkpoint;
}

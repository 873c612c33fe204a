/** Small native searches in a group, each of which ends with a text that tells all that came out. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";

import {
  AutoQuantizeSearcher,
  convert,
  crossEntropy,
  Module,
  RandomSearcher,
  type SearchConfig,
  type SearchSpace,
  SpaceSearcher,
  setThreads,
  Tensor,
  TensorDataLoader,
  topKAccuracy,
} from "../../lib";
import type { Group } from "../../lib/distributed/group";
import {
  BinarySearcher,
  CmaEsSearcher,
  EvolveSearcher,
  GradientSearcher,
  MilpSearcher,
  ParetoSearcher,
  RankingSearcher,
  TpeSearcher,
} from "../../lib/entries/search";

const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

/** A searcher of a user's own, which measures through what the base class offers. */
class Ladder extends SpaceSearcher {
  get defaultStateDict() {
    return { fullCosts: null, bounds: null, best: null };
  }
  async runSearch(): Promise<void> {
    const { smallestConfig, largestConfig } = this.model;
    const middle = this.model.sample(this.random);
    for (const each of await this.measureAll([smallestConfig, middle, largestConfig]))
      if (this.fits(each.config) && each.score > (this.state.best?.score ?? Number.NEGATIVE_INFINITY))
        this.state.best = each;
    const again = await this.measure(smallestConfig);
    if (again.score > (this.state.best?.score ?? Number.NEGATIVE_INFINITY)) this.state.best = again;
  }
}

function text(state: unknown): string {
  return JSON.stringify(state, (_, value: unknown) => {
    if (!ArrayBuffer.isView(value)) return value;
    return Array.from(value as Float64Array, String);
  });
}

const SEARCHERS = {
  BinarySearcher: [BinarySearcher, { maxChoices: 2 }],
  MilpSearcher: [MilpSearcher, { maxChoices: 1, topK: 2 }],
  GradientSearcher: [GradientSearcher, {}],
  RankingSearcher: [RankingSearcher, {}],
  RandomSearcher: [RandomSearcher, { numIters: 8 }],
  EvolveSearcher: [EvolveSearcher, { numIters: 12, populationSize: 4, candidateSize: 2 }],
  ParetoSearcher: [ParetoSearcher, { numIters: 12, populationSize: 4 }],
  TpeSearcher: [TpeSearcher, { numIters: 8, startupTrials: 5 }],
  CmaEsSearcher: [CmaEsSearcher, { numIters: 8, populationSize: 4 }],
  Ladder: [Ladder, {}],
} as const;

/** Searches whose scores are measured by parts of their batches where there are more processes than candidates. */
const IN_PARTS: Record<string, { name: keyof typeof SEARCHERS; more: object }> = {
  "TpeSearcher by parts": { name: "TpeSearcher", more: { dataShards: "auto" } },
  "RandomSearcher by parts": { name: "RandomSearcher", more: { dataShards: 3, numIters: 3 } },
  "BinarySearcher by parts": { name: "BinarySearcher", more: { dataShards: "auto" } },
  "Ladder by parts": { name: "Ladder", more: { dataShards: 2 } },
};

/** The searches that {@link groupRun} knows. */
export const GROUP_SEARCHES = [...Object.keys(SEARCHERS), ...Object.keys(IN_PARTS), "AutoQuantizeSearcher"];

/** What came out of a search, and how many scores this process has measured for it. */
export interface GroupResult {
  /** The state, and the digest of the exported file. */
  text: string;
  measured: number;
}

/** What differs from one run to another. */
export interface GroupRunOptions {
  fixtures: string;
  /** A folder for the exported file. */
  folder: string;
  group: Group | null;
  checkpoint?: string | null;
  /** Milliseconds that a score takes longer. */
  delay?: number;
  /** Called before each score. */
  onScore?: () => void | Promise<void>;
  numIters?: number;
  /** Samples of the data, for a rank with other data than the rest. */
  batches?: number;
  seed?: number;
  /** The model's file among the fixtures. */
  model?: string;
  /** Of the searcher's own settings. */
  more?: object;
}

/** Runs one search on a classifier of digits. */
export async function groupRun(name: string, options: GroupRunOptions): Promise<GroupResult> {
  setThreads(1);
  const { fixtures, folder, group, checkpoint = null, delay = 0, onScore, numIters, batches = 2 } = options;
  const { seed = 5, model = "digits_cnn.pt" } = options;
  const module = await Module.load(path.join(fixtures, model));
  const load = (keys: readonly string[]) =>
    TensorDataLoader.fromNpz(path.join(fixtures, "digits.npz"), { keys: [...keys], batchSize: 32 });
  const dataLoader = await load(["train_images", "train_labels"]);
  const score = topKAccuracy(await load(["test_images", "test_labels"]), { maxBatches: batches });
  let measured = 0;
  const scoreFunc: typeof score = async (model, context) => {
    measured += 1;
    await onScore?.();
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
    return score(model, context);
  };
  const common = { dataLoader, maxIterDataLoader: 1, verbose: false, seed, group, checkpoint };
  const file = path.join(folder, `${name}-${group?.worldSize ?? 1}-${group?.rank ?? 0}.pt`);
  const end = async (subnet: Module, state: unknown): Promise<GroupResult> => {
    await subnet.save(file);
    const digest = createHash("sha256").update(readFileSync(file)).digest("hex");
    return { text: `${digest} ${text(state)}`, measured };
  };
  if (name === "AutoQuantizeSearcher") {
    const space = await convert(module, "auto_quantize", dummyInput());
    const config = { ...common, scoreFunc, sensitivity: "klDivergence" as const };
    const found = await new AutoQuantizeSearcher().search(space, { effectiveBits: 6 }, dummyInput(), config);
    return end(found.subnet, found.stateDict);
  }
  const space = (await convert(module, "fastnas", dummyInput())) as SearchSpace;
  const inParts = IN_PARTS[name];
  const [Searcher, more] = SEARCHERS[inParts?.name ?? (name as keyof typeof SEARCHERS)];
  const searcher = new Searcher() as unknown as RandomSearcher;
  const own = { ...more, ...(numIters !== undefined && { numIters }), ...options.more };
  // A sum of losses shows in which order they were added.
  const losses = crossEntropy(await load(["test_images", "test_labels"]), { maxBatches: 5 });
  const config = { ...common, scoreFunc: inParts ? losses : scoreFunc, ...own, ...inParts?.more };
  const found = await searcher.search(space, { flops: "60%" }, dummyInput(), config as Partial<SearchConfig>);
  return end(found.subnet, found.stateDict);
}

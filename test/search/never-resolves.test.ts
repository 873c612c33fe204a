/** Functions and loaders of the user's that never come to an end: an abort rejects all the same, and soon. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

import {
  BaseSearcher,
  convert,
  crossEntropy,
  finetune,
  Module,
  RandomSearcher,
  type SearchSpace,
  Tensor,
  TensorDataLoader,
  trainSupernet,
} from "../../lib";
import { compress } from "../../lib/entries/compress";
import { digitsInput } from "../support/small-runs";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const fixture = (name: string): string => path.join(root, "test", "fixtures", name);
const never = (): Promise<never> => new Promise(() => {});

let module: Module;
let space: SearchSpace;
let data: TensorDataLoader;
beforeAll(async () => {
  module = await Module.load(fixture("digits_cnn.pt"));
  space = await convert(module, "fastnas", digitsInput());
  data = await TensorDataLoader.fromNpz(fixture("digits.npz"), {
    keys: ["train_images", "train_labels"],
    batchSize: 64,
  });
});
afterAll(() => {
  for (const made of [data, space, module]) made?.close();
});

/** Batches, of which the one after `count` never comes. */
const stuck = (count: number) => ({
  async *[Symbol.asyncIterator]() {
    for (let i = 0; i < count; i++) yield [digitsInput(), Tensor.from(new BigInt64Array(1), [1])];
    await never();
  },
});

/** Comes to an end when the test does. */
let letGo = (): void => {};

class NeverSearches extends BaseSearcher {
  get defaultStateDict() {
    return {};
  }
  async runSearch(): Promise<void> {
    await new Promise<void>((resolve) => {
      letGo = resolve;
    });
    await this.saveSearchCheckpoint();
  }
}

const quiet = { verbose: false, numIters: 3 } as const;
const search = (config: object) =>
  new RandomSearcher().search(space, { flops: "80%" }, digitsInput(), config);

const CALLS: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  "runSearch of a searcher": (signal) =>
    new NeverSearches().search(space, { flops: "80%" }, digitsInput(), { verbose: false, signal }),
  "scoreFunc of a search": (signal) => search({ ...quiet, scoreFunc: never, signal }),
  "forwardLoop of a search": (signal) => search({ ...quiet, scoreFunc: () => 1, forwardLoop: never, signal }),
  "dataLoader of a search": (signal) =>
    search({ ...quiet, scoreFunc: () => 1, dataLoader: stuck(1), signal }),
  "loader of a score in a search": (signal) =>
    search({ ...quiet, scoreFunc: crossEntropy(stuck(1)), signal }),
  "loader of a score": async (signal) => crossEntropy(stuck(0))(module, { signal }),
  "scoreFunc of a study": async (signal) => {
    const round = space.study({ flops: "80%" }, { scoreFunc: never, signal });
    await round.score(await round.ask());
  },
  "loader of finetune": (signal) => finetune(module, stuck(1), { steps: 3, signal }),
  "loss of finetune": (signal) => finetune(module, data, { steps: 3, lossFunc: never, signal }),
  "loader of trainSupernet": (signal) => trainSupernet(space, stuck(1), { steps: 3, signal }),
  "forward loop of recalibrate": (signal) => space.recalibrate(never as never, { signal }),
  "loader of recalibrate": (signal) => space.recalibrate(stuck(1), { signal }),
  "loader of compress": (signal) =>
    compress(module, {
      data: stuck(2),
      holdout: data,
      dummyInput: digitsInput(),
      output: path.join(root, ".build", "never.pt"),
      target: { flops: "60%" },
      signal,
    }),
};

it.each(Object.keys(CALLS))("%s", { timeout: 30_000 }, async (name) => {
  const controller = new AbortController();
  const call = (CALLS[name] as (typeof CALLS)[string])(controller.signal);
  // Rejected before the abort: the call didn't get as far as the function.
  const early = await Promise.race([
    call.then(
      () => "resolved",
      (error) => error,
    ),
    new Promise((resolve) => setTimeout(resolve, 300, "waits")),
  ]);
  expect(early).toBe("waits");
  controller.abort();
  await expectCode("ERR_ABORTED", () => call);
});

it("a searcher whose search goes on has no other one, and saves nothing", { timeout: 30_000 }, async () => {
  const searcher = new NeverSearches();
  const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-never-"));
  const config = { verbose: false, checkpoint: path.join(folder, "search.safetensors") };
  const controller = new AbortController();
  const signal = controller.signal;
  setTimeout(() => controller.abort(), 50);
  await expectCode("ERR_ABORTED", () => searcher.search(space, {}, digitsInput(), { ...config, signal }));
  await expectCode("ERR_BUSY", () => searcher.search(space, {}, digitsInput(), config));
  letGo();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(readdirSync(folder)).toEqual([]);
  const again = searcher.search(space, {}, digitsInput(), config);
  await new Promise((resolve) => setTimeout(resolve, 100));
  letGo();
  await again;
  expect(readdirSync(folder)).toEqual(["search.safetensors"]);
  rmSync(folder, { recursive: true });
});

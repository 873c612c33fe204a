// The delay of Node's event loop, by perf_hooks' monitorEventLoopDelay: while images are decoded, while models are
// loaded, converted, searched and exported, and while nothing happens, in turns in one process. See docs/benchmarks.md.
import path from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";

import {
  BinarySearcher,
  convert,
  crossEntropy,
  EvolveSearcher,
  ImageFolderLoader,
  initialize,
  MilpSearcher,
  Module,
  ParetoSearcher,
} from "torchsearch";

import { run } from "../scripts/lib/run.mjs";
import { imageFolder } from "./lib/images.mjs";
import { benchOptions } from "./lib/options.mjs";
import { scratch } from "./lib/page.mjs";
import { ensurePeers, peerPython } from "./lib/peers.mjs";
import { repeated } from "./lib/repeated.mjs";
import { finish, machine } from "./lib/report.mjs";
import { summary } from "./lib/stats.mjs";
import { ranged, table } from "./lib/text.mjs";

const options = benchOptions();
const before = machine(options);
const SEARCHES = [
  { model: "digits_resnet", images: 256, Searcher: BinarySearcher, config: { maxChoices: 3 } },
  {
    model: "digits_resnet",
    images: 256,
    Searcher: EvolveSearcher,
    config: { numIters: 40, populationSize: 8, candidateSize: 2 },
  },
  {
    model: "digits_resnet",
    images: 256,
    Searcher: ParetoSearcher,
    config: { numIters: 40, populationSize: 8 },
  },
  { model: "mobilenet_v2", images: 8, Searcher: BinarySearcher, config: { maxChoices: 1 } },
  { model: "mobilenet_v2", images: 8, Searcher: MilpSearcher, config: { maxChoices: 1 } },
].filter(({ model, Searcher }) => options.wanted(`${model}:${Searcher.name}`));

const IMAGES = "ImageFolderLoader, 64 JPEGs";

if (SEARCHES.length > 0) {
  await ensurePeers();
  const models = [...new Set(SEARCHES.map(({ model }) => model))];
  run(peerPython, ["-W", "ignore", "bench/python/assets.py", ...models], {
    remedy: "See its message above.",
  });
}

/** Percentiles of the event loop's delay, in milliseconds, while `body` runs. The histogram's clock ticks each millisecond. */
async function watched(body) {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const start = performance.now();
  await body();
  const seconds = (performance.now() - start) / 1000;
  histogram.disable();
  const ms = (nanoseconds) => nanoseconds / 1e6;
  return {
    seconds,
    p50: ms(histogram.percentile(50)),
    p99: ms(histogram.percentile(99)),
    max: ms(histogram.max),
  };
}

const rounds = options.quick ? 1 : Math.min(options.rounds, 5);
const results = [];

/** Watches `body` and then an idle process, round after round. */
async function compare(search, body) {
  const found = { search, busy: [], idle: [] };
  for (let round = 0; round < rounds; round++) {
    const busy = await watched(() => body(round));
    found.busy.push(busy);
    // As long again, idle, on the same busy machine.
    found.idle.push(await watched(() => pause(1000 * Math.min(busy.seconds, 5))));
  }
  results.push(found);
  console.error(`${search}: largest ${found.busy.map(({ max }) => max.toFixed(2)).join(", ")} ms`);
}

await initialize();
// Before anything else, so that the first round loads the decoder.
if (options.wanted(IMAGES)) {
  const folder = await imageFolder(path.join(scratch, "images"));
  await compare(IMAGES, async () => {
    const loader = await ImageFolderLoader.open(folder, { batchSize: 64 });
    const { images, labels } = await loader.batch(0);
    for (const each of [images, labels, loader]) each.close();
  });
}
for (const { model, images, Searcher, config } of SEARCHES) {
  const { loader, example } = await repeated(path.join(scratch, `${model}.npz`), images, 64);
  await compare(`${Searcher.name}, ${model}`, async (round) => {
    const module = await Module.load(path.join(scratch, `${model}.pt`));
    const space = await convert(module, "fastnas", example);
    const { subnet } = await new Searcher().search(space, { flops: "60%" }, example, {
      scoreFunc: crossEntropy(loader),
      dataLoader: loader,
      verbose: false,
      seed: round,
      ...config,
    });
    for (const each of [subnet, space, module]) each.close();
  });
}

const of = (list, key) => ranged(summary(list.map((each) => each[key])));
const rows = results.map(({ search, busy, idle }) => [
  search,
  of(busy, "seconds"),
  of(busy, "p50"),
  of(busy, "p99"),
  of(busy, "max"),
  of(idle, "p99"),
  of(idle, "max"),
]);
finish("eventloop", options, {
  text: `Milliseconds between two turns of a timer set to one millisecond, median (minimum–maximum) of ${rounds} runs:

${table(["run", "seconds", "p50", "p99", "largest", "idle p99", "idle largest"], rows)}`,
  raw: results,
  before,
});

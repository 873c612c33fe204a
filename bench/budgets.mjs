// Accuracy without fine-tuning at 60 % of the FLOPs, alone and together with 70 % of the latency, on the digits ResNet
// and the digits ViT, by the searchers that need few measurements. Writes the table into docs/results.md.
//
//   npm run bench -- budgets [--quick] [--dry]
import path from "node:path";

import { BinarySearcher, convert, crossEntropy, GradientSearcher, MilpSearcher, profile } from "torchsearch";

import { example, heldOutAccuracy, loadModel, trainLoader, WIDTH_MODELS } from "./lib/digits.mjs";
import { benchOptions } from "./lib/options.mjs";
import { scratch } from "./lib/page.mjs";
import { finish, machine } from "./lib/report.mjs";
import { median } from "./lib/stats.mjs";
import { table } from "./lib/text.mjs";

const options = benchOptions();
const before = machine(options);
const seeds = options.quick ? [0] : [0, 1, 2];
const models = WIDTH_MODELS.filter(({ model }) => options.wanted(model));
const budgets = [{ flops: "60%" }, { flops: "60%", latency: "70%" }];
const searchers = [BinarySearcher, MilpSearcher, GradientSearcher];

const heldOut = await heldOutAccuracy();

/** Milliseconds of a forward of the module over those of the full model: the median ratio of pairs measured in turns. */
async function measuredLatency(module, full) {
  const timing = { metrics: ["latency"], warmup: 20, repeats: 100, threads: options.threads };
  const ratios = [];
  for (let round = 0; round < 5; round++) {
    const [of, whole] = [await profile(module, example, timing), await profile(full, example, timing)];
    ratios.push(of.latency.median / whole.latency.median);
  }
  return median(ratios);
}

async function searched({ model, channelDivisor }, Searcher, constraints, seed) {
  const train = await trainLoader(128, seed);
  const full = await loadModel(model);
  const space = await convert(await loadModel(model), "fastnas", example, { channelDivisor });
  // Gradients need small batches; the number of images is the same.
  const small = Searcher === GradientSearcher;
  const { subnet, stateDict } = await new Searcher().search(space, constraints, example, {
    scoreFunc: crossEntropy(train, { maxBatches: 4 }),
    dataLoader: small ? await trainLoader(32, seed) : train,
    maxIterDataLoader: small ? 16 : 4,
    seed,
    verbose: false,
    ...(constraints.latency && {
      deployment: {
        latencyTable: path.join(scratch, `${model}.latency.json`),
        threads: Number(options.threads),
      },
    }),
  });
  const share = (metric) => stateDict.best.costs[metric] / stateDict.fullCosts[metric];
  const row = {
    full: await heldOut(full),
    accuracy: await heldOut(subnet),
    score: stateDict.best.score,
    flops: share("flops"),
    predicted: constraints.latency ? share("latency") : null,
    measured: await measuredLatency(subnet, full),
  };
  for (const each of [subnet, space, full]) each.close();
  return row;
}

const percent = (list) => list.map((value) => (100 * value).toFixed(1)).join(", ");
const rows = [];
const raw = [];
for (const each of models) {
  for (const constraints of budgets) {
    for (const Searcher of searchers) {
      const runs = [];
      for (const seed of seeds) runs.push(await searched(each, Searcher, constraints, seed));
      raw.push({ ...each, constraints, searcher: Searcher.name, runs });
      const of = (key) => runs.map((run) => run[key]);
      const bounds = Object.entries(constraints).map(([metric, bound]) => `${metric} ${bound}`);
      rows.push([
        `\`${each.model}\`, ${bounds.join(", ")}: \`${Searcher.name}\``,
        percent([runs[0].full]),
        percent(of("accuracy")),
        of("score")
          .map((score) => (-score).toFixed(3))
          .join(", "),
        percent(of("flops")),
        constraints.latency ? percent(of("predicted")) : "",
        percent(of("measured")),
      ]);
      console.error(rows.at(-1).join(" | "));
    }
  }
}
const header = [
  "model, budgets, searcher",
  "full model",
  "accuracy by seed",
  "cross-entropy",
  "FLOPs",
  "latency by the table",
  "latency measured",
];
finish("budgets", options, { page: "results.md", text: table(header, rows), raw, before });

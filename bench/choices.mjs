// How many widths of a hyperparameter a sensitivity search must measure: subnets of BinarySearcher with `maxChoices` of 1 to
// all, within several budgets, on the digits ResNet and the digits ViT. Writes the table into docs/results.md.
//
//   npm run bench -- choices [--quick] [--dry]
import { rm } from "node:fs/promises";
import path from "node:path";

import { BinarySearcher, convert, crossEntropy } from "torchsearch";

import { example, heldOutAccuracy, loadModel, trainLoader, WIDTH_MODELS } from "./lib/digits.mjs";
import { benchOptions } from "./lib/options.mjs";
import { scratch } from "./lib/page.mjs";
import { finish, machine } from "./lib/report.mjs";
import { number, table } from "./lib/text.mjs";

const options = benchOptions();
const before = machine(options);
const seeds = options.quick ? [0] : [0, 1, 2];
const bounds = options.quick ? ["60%"] : ["70%", "60%", "50%", "40%"];
const limits = options.quick ? [1, 3] : [1, 2, 3, 4, null];
const models = WIDTH_MODELS.filter(({ model }) => options.wanted(model));

const heldOut = await heldOutAccuracy();

/** Searches within each bound from the same sensitivities, which the first one measures. */
async function searches({ model, channelDivisor }, maxChoices, seed) {
  const train = await trainLoader(128, seed);
  const measure = crossEntropy(train, { maxBatches: 4 });
  let scored = 0;
  const scoreFunc = (...args) => {
    scored += 1;
    return measure(...args);
  };
  const checkpoint = path.join(scratch, `choices-${model}-${maxChoices}-${seed}.safetensors`);
  await rm(checkpoint, { force: true });
  const found = [];
  for (const flops of bounds) {
    const module = await loadModel(model);
    const space = await convert(module, "fastnas", example, { channelDivisor, depth: false });
    const start = process.cpuUsage();
    const { subnet, stateDict } = await new BinarySearcher().search(space, { flops }, example, {
      scoreFunc,
      dataLoader: train,
      maxIterDataLoader: 4,
      maxChoices,
      checkpoint,
      verbose: false,
    });
    const { user, system } = process.cpuUsage(start);
    const seconds = (user + system) / 1e6;
    found.push({
      flops,
      score: stateDict.best.score,
      accuracy: await heldOut(subnet),
      seconds,
      scored,
    });
    for (const each of [subnet, space, module]) each.close();
  }
  await rm(checkpoint, { force: true });
  return found;
}

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
const raw = [];
const rows = [];
for (const each of models) {
  for (const limit of limits) {
    const runs = [];
    for (const seed of seeds) runs.push(await searches(each, limit, seed));
    raw.push({ ...each, limit, runs });
    rows.push([
      `\`${each.model}\`, ${limit ?? "all"}`,
      Math.round(mean(runs.map(([first]) => first.scored))),
      number(mean(runs.map(([first]) => first.seconds))),
      ...bounds.map((_, at) => {
        const score = mean(runs.map((run) => run[at].score));
        const accuracy = mean(runs.map((run) => run[at].accuracy));
        return `${(-score).toFixed(4)}, ${(100 * accuracy).toFixed(1)} %`;
      }),
    ]);
    console.error(rows.at(-1).join(" | "));
  }
}
const header = ["model, `maxChoices`", "scored", "CPU seconds", ...bounds.map((bound) => `${bound} FLOPs`)];
finish("choices", options, { page: "results.md", text: table(header, rows), raw, before });

// What stopping candidates early saves: random and evolutionary search on the digits ResNet with and without, in turns,
// and their outcomes compared. Writes the table into docs/evaluation.md.
//
//   npm run bench -- early-stopping [--quick] [--dry]
import { convert, crossEntropy, EvolveSearcher, RandomSearcher, topKAccuracy } from "torchsearch";

import { example, loadModel, trainLoader } from "./lib/digits.mjs";
import { benchOptions } from "./lib/options.mjs";
import { finish, machine } from "./lib/report.mjs";
import { median, ratios } from "./lib/stats.mjs";
import { number, ratio, table } from "./lib/text.mjs";

const options = benchOptions();
const before = machine(options);
const rounds = options.quick ? 1 : 3;
const numIters = options.quick ? 20 : 100;
const searchers = [
  ["RandomSearcher", RandomSearcher, { numIters }],
  ["EvolveSearcher", EvolveSearcher, { numIters, populationSize: 20, candidateSize: 5 }],
];
const loader = await trainLoader(32);
const scores = [
  ["accuracy", topKAccuracy, ["exact", { errorProbability: 0.05 }]],
  ["cross-entropy", crossEntropy, ["exact"]],
];

async function search(Searcher, config, measure, earlyStopping) {
  const space = await convert(await loadModel("digits_resnet"), "fastnas", example);
  let samples = 0;
  const scoreFunc = async (model, context) => {
    let seen = loader.samples;
    const stop = context.stop && {
      ...context.stop,
      onStop: (count) => {
        seen = count;
        context.stop.onStop(count);
      },
    };
    const value = await measure(model, { ...context, stop });
    samples += seen;
    return value;
  };
  const start = performance.now();
  const { subnet, stateDict } = await new Searcher().search(space, { flops: "60%" }, example, {
    ...config,
    scoreFunc,
    dataLoader: loader,
    maxIterDataLoader: 4,
    earlyStopping,
    verbose: false,
  });
  const seconds = (performance.now() - start) / 1000;
  subnet.close();
  space.close();
  return {
    seconds,
    samples,
    best: stateDict.best,
    stopped: stateDict.candidates.scores.filter(Number.isNaN).length,
  };
}

const rows = [];
const raw = [];
for (const [name, Searcher, config] of searchers) {
  for (const [title, factory, rules] of scores) {
    const measure = factory(loader);
    const runs = [false, ...rules].map(() => []);
    for (let round = 0; round < rounds; round++)
      for (const [at, rule] of [false, ...rules].entries())
        runs[at].push(await search(Searcher, config, measure, rule));
    const [all, ...others] = runs;
    for (const [at, found] of others.entries()) {
      const racing = rules[at] !== "exact";
      const same = JSON.stringify(found[0].best) === JSON.stringify(all[0].best);
      if (!racing && !same) throw new Error(`${name} by ${title} found another subnet with exact bounds`);
      const seconds = (list) => list.map((run) => run.seconds);
      rows.push([
        `\`${name}\`, ${title}, ${racing ? `racing, ${rules[at].errorProbability}` : "exact"}`,
        `${found[0].stopped} of ${numIters}`,
        `${((100 * found[0].samples) / all[0].samples).toFixed(0)} %`,
        number(median(seconds(all))),
        number(median(seconds(found))),
        ratio(ratios(seconds(all), seconds(found))),
        same ? "yes" : `no: ${found[0].best.score.toFixed(4)} for ${all[0].best.score.toFixed(4)}`,
      ]);
      console.error(rows.at(-1).join(" | "));
    }
    raw.push({ name, title, runs });
  }
}
const header = [
  "search",
  "stopped",
  "samples scored",
  "seconds without",
  "with",
  "times faster",
  "same best subnet",
];
finish("early-stopping", options, { page: "evaluation.md", text: table(header, rows), raw, before });

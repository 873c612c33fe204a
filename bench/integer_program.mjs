// Size and solving time of MilpSearcher's integer program on real models, with random sensitivities.
//
//   OMP_NUM_THREADS=1 node bench/integer_program.mjs FILE… [--share 0.6] [--divisor 32]
//
// Files are TorchScript classifiers of 3 x 224 x 224 images, such as scripts/fixtures/architectures.py writes. Each is
// searched within the share of its FLOPs and parameters, both at once. Prints a table; no model is scored.
import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";
import { convert, Module, Random, Tensor } from "torchsearch";

const require = createRequire(import.meta.url);
const { pairwiseCosts } = require("../dist/search/solver/pairwise-costs.js");
const { SearchProgram } = require("../dist/search/solver/milp-program.js");
const { solveMilp } = require("../dist/search/solver/highs.js");

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { share: { type: "string", default: "0.6" }, divisor: { type: "string", default: "32" } },
});
const share = Number(options.share);

console.log(
  "| model | hyperparameters | choices | pairs | variables | rows | probing (CPU s) | solving (CPU s) | gap | cost error |",
);
console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
for (const file of positionals) {
  const module = await Module.load(file);
  const example = Tensor.from(new Float32Array(3 * 224 * 224), [1, 3, 224, 224]);
  const space = await convert(module, "fastnas", example, { channelDivisor: Number(options.divisor) });
  const { hyperparameters } = space;
  const [costs, probing] = await timed(() => pairwiseCosts(space, ["flops", "params"], null));
  const limits = { flops: share * costs.full.flops, params: share * costs.full.params };
  const search = new SearchProgram(costs, randomHarms(hyperparameters), limits);
  const program = search.program();
  const [solution, solving] = await timed(() =>
    solveMilp(program, { gap: 0, timeLimit: 300, start: null, signal: null, onProgress: null }),
  );
  const found = search.read(solution.x);
  for (const [metric, limit] of Object.entries(limits)) {
    if (space.cost(found, metric) > limit) throw new Error(`${file}: ${metric} is over its budget`);
  }
  const cells = [
    path.basename(file).split(".")[0],
    hyperparameters.length,
    hyperparameters.reduce((sum, { choices }) => sum + choices.length, 0),
    costs.pairs.length,
    program.costs.length,
    program.rows.length,
    probing.toFixed(2),
    solving.toFixed(1),
    Math.max(0, (solution.objective - solution.bound) / solution.objective).toFixed(6),
    costs.error,
  ];
  console.log(`| ${cells.join(" | ")} |`);
  space.close();
  module.close();
}

/** Harm that rises by a uniform random amount with each narrower choice, as a share of the largest. */
function randomHarms(hyperparameters) {
  const random = new Random(1);
  const harms = hyperparameters.map(({ choices }) => {
    let harm = 0;
    const rising = choices.map((_, i) => {
      if (i > 0) harm += random.float();
      return harm;
    });
    return rising.reverse();
  });
  const largest = Math.max(...harms.flat());
  return harms.map((list) => list.map((harm) => harm / largest));
}

/** A function's result, and the CPU seconds that it took on all threads. */
async function timed(body) {
  const start = process.cpuUsage();
  const result = await body();
  const { user, system } = process.cpuUsage(start);
  return [result, (user + system) / 1e6];
}

// The whole trade-off between score and FLOPs in one run.   node examples/searchers/pareto.mjs
import { ParetoSearcher } from "torchsearch";
import { subnetsOf } from "torchsearch/search";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const result = await new ParetoSearcher().search(await digitsSpace(), { flops: "60%" }, example, {
  ...(await digitsConfig()),
  numIters: 80,
  populationSize: 20, // 100 by default
});
const full = result.stateDict.fullCosts.flops;
console.log("The front:");
for (const { score, costs } of subnetsOf(result.stateDict.front)) {
  console.log(`  ${((100 * costs.flops) / full).toFixed(1).padStart(5)} % FLOPs  score ${score.toFixed(4)}`);
}
console.log("The best within 60 % FLOPs:");
await printResult(result);

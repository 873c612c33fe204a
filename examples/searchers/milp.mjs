// Integer programming: the smallest sum of sensitivities within two budgets.   node examples/searchers/milp.mjs
import { MilpSearcher } from "torchsearch";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const constraints = { flops: "60%", params: "50%" };
const result = await new MilpSearcher().search(await digitsSpace(), constraints, example, {
  ...(await digitsConfig()),
  maxChoices: 3, // of each hyperparameter, the others are interpolated; null for all
});
await printResult(result);
const { objective, bound, gap } = result.stateDict.milp;
console.log(
  `Sum of sensitivities: ${objective.toPrecision(4)}, at least ${bound.toPrecision(4)}; gap ${gap}`,
);

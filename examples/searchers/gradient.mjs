// Gradients: one pass of them, then a knapsack within two budgets.   node examples/searchers/gradient.mjs
import { GradientSearcher } from "torchsearch";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const constraints = { flops: "60%", params: "60%" };
const result = await new GradientSearcher().search(
  await digitsSpace(),
  constraints,
  example,
  await digitsConfig(),
);
await printResult(result);
const { objective, gap } = result.stateDict.knapsack;
console.log(`First-order change of the loss: ${objective.toPrecision(4)}; gap ${gap}`);

// Random search, the baseline.   node examples/searchers/random.mjs
import { RandomSearcher } from "torchsearch";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const result = await new RandomSearcher().search(await digitsSpace(), { flops: "60%" }, example, {
  ...(await digitsConfig()),
  numIters: 40,
  minBudgetUse: 0.85,
});
await printResult(result);

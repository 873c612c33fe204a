// Tree-structured Parzen estimator: models where good candidates are.   node examples/searchers/tpe.mjs
import { TpeSearcher } from "torchsearch/search";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const result = await new TpeSearcher().search(await digitsSpace(), { flops: "60%" }, example, {
  ...(await digitsConfig()),
  numIters: 40, // 5000 by default
});
await printResult(result);

// CMA-ES with margin: a normal distribution that follows the best candidates.   node examples/searchers/cmaes.mjs
import { CmaEsSearcher } from "torchsearch/search";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const result = await new CmaEsSearcher().search(await digitsSpace(), { flops: "60%" }, example, {
  ...(await digitsConfig()),
  numIters: 40, // 5000 by default
});
await printResult(result);

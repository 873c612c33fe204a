// Evolutionary search, with generations fit for a short run.   node examples/searchers/evolve.mjs
import { EvolveSearcher } from "torchsearch";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const result = await new EvolveSearcher().search(await digitsSpace(), { flops: "60%" }, example, {
  ...(await digitsConfig()),
  numIters: 60,
  populationSize: 20, // 100 by default
  candidateSize: 5, // 25 by default
});
await printResult(result);

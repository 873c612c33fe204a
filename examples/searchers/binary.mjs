// FastNAS: sensitivities, then a binary search.   node examples/searchers/binary.mjs
import { BinarySearcher } from "torchsearch";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const result = await new BinarySearcher().search(await digitsSpace(), { flops: "60%" }, example, {
  ...(await digitsConfig()),
  maxChoices: 3, // of each hyperparameter, the others are interpolated; null for all
});
await printResult(result);

// A ranking: the least important channels of layers that are alike go first.   node examples/searchers/ranking.mjs
import { RankingSearcher } from "torchsearch/search";
import { digitsConfig, digitsSpace, example, printResult } from "./digits-space.mjs";

const result = await new RankingSearcher().search(
  await digitsSpace(),
  { flops: "60%" },
  example,
  await digitsConfig(),
);
await printResult(result);
const { share, ranks } = result.stateDict;
const classes = new Set(Object.values(ranks.channels).map(({ structure }) => structure));
console.log(
  `${(100 * share).toFixed(1)} % of the channels of each of ${classes.size} kinds of layers are dropped`,
);

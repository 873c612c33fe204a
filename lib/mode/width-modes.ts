/** The modes that choose the widths of a model's channels and which of its blocks are there. */
import { BinarySearcher } from "../search/width/binary";
import { CmaEsSearcher } from "../search/width/cmaes";
import { EvolveSearcher } from "../search/width/evolve";
import { GradientSearcher } from "../search/width/gradient";
import { MilpSearcher } from "../search/width/milp";
import { ParetoSearcher } from "../search/width/pareto";
import { RandomSearcher } from "../search/width/random";
import { RankingSearcher } from "../search/width/ranking";
import { TpeSearcher } from "../search/width/tpe";
import { CONVERT_DEFAULTS, CONVERT_RULES, type ConvertConfig, convertWidths } from "../space/convert";
import { requireMatchingData } from "../space/importance";
import type { SearchSpace } from "../space/search-space";
import type { ModeDescriptor } from "./registry";

/** The searchers of a space of widths, by the names that `search` and the command know. */
export const WIDTH_SEARCHERS = {
  binary: BinarySearcher,
  milp: MilpSearcher,
  gradient: GradientSearcher,
  ranking: RankingSearcher,
  evolve: EvolveSearcher,
  random: RandomSearcher,
  pareto: ParetoSearcher,
  tpe: TpeSearcher,
  cmaes: CmaEsSearcher,
} as const;
/** The searchers of a space of widths. */
export type WidthSearchers = typeof WIDTH_SEARCHERS;

/** Makes a mode of widths and blocks. */
function widthMode<Default extends keyof WidthSearchers>(
  name: string,
  defaultSearcher: Default,
  description: string,
): ModeDescriptor<ConvertConfig, SearchSpace, WidthSearchers, Default> {
  return {
    name,
    description,
    defaults: CONVERT_DEFAULTS,
    rules: CONVERT_RULES,
    check: requireMatchingData,
    convert: (module, dummyInput, config, from) => convertWidths(name, module, dummyInput, config, from),
    searchers: WIDTH_SEARCHERS,
    defaultSearcher,
  };
}

/** NVIDIA ModelOpt's FastNAS: a trained model as it is, and how sensitive its score is to each width. */
export const fastnas = widthMode(
  "fastnas",
  "binary",
  "widths and blocks of a trained model, by their sensitivities",
);
/** NVIDIA ModelOpt's AutoNAS: subnets of a supernet, rated one by one. */
export const autonas = widthMode("autonas", "evolve", "widths and blocks of a supernet, by evolution");

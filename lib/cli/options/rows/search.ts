/** Options of the search itself. */

import { LOSS_TABLE, type LossName, lossFor } from "../../../evaluation/losses";
import { RandomSearcher } from "../../../search/width/random";
import { SEARCHERS } from "../../modes";
import { assignments, choice, file, positive, text } from "../kinds";
import { row } from "../row";

/** How candidates can be rated: by accuracy, by minus a loss, or as the targets suggest. */
export const SCORES = ["auto", "accuracy", ...(Object.keys(LOSS_TABLE) as LossName[])] as const;
/** The name of a score. */
export type ScoreName = (typeof SCORES)[number];

export const SEARCH_OPTIONS = [
  row({
    flag: "--searcher <name>",
    commands: ["search"],
    key: "searcher",
    kind: choice(SEARCHERS),
    default: null,
    defaultText: "the mode's own: binary, evolve for autonas",
    help: "how to search",
  }),
  row({
    flag: "--iterations <count>",
    commands: ["search"],
    key: "searcherOptions.numIters",
    kind: positive,
    default: null,
    defaultText: String(new RandomSearcher().defaultSearchConfig.numIters),
    help: "candidates to try, for evolve, random, pareto, tpe and cmaes",
  }),
  row({
    flag: "--set <key=value...>",
    commands: ["search"],
    key: "searcherOptions",
    kind: assignments,
    default: {} as Record<string, unknown>,
    help: "a config key of the searcher, such as populationSize=50",
  }),
  row({
    flag: "--score <name>",
    commands: ["search"],
    key: "score",
    kind: choice(SCORES),
    default: "auto",
    defaultText: `auto: ${lossFor(true)} for labels, ${lossFor(false)} for other targets, klDivergence without targets`,
    help: "how candidates are rated",
  }),
  row({
    flag: "--top-k <k>",
    commands: ["search"],
    key: "topK",
    kind: positive,
    default: 1,
    help: "a sample counts when its label is among the k best",
  }),
  row({
    flag: "--output-key <key>",
    commands: ["search", "finetune"],
    key: "outputKey",
    kind: text,
    default: null,
    defaultText: "logits, out, or the first floating tensor",
    help: "the part of the model's output that is scored and trained, such as out or 0",
  }),
  row({
    flag: "--class-dimension <name>",
    commands: ["search", "finetune"],
    key: "classDimension",
    kind: choice(["second", "last"]),
    default: null,
    defaultText: "as the shapes of outputs and targets show",
    help: "where the classes of an output are: [N, C, ...] or [N, T, V]",
  }),
  row({
    flag: "--latency-table <file>",
    commands: ["search"],
    key: "latencyTable",
    kind: file,
    default: null,
    defaultText: "beside the output",
    help: "latencies of the target machine; measured here and written where the file is missing",
  }),
  row({
    flag: "--threads <count>",
    commands: ["search"],
    key: "threads",
    kind: positive,
    default: null,
    defaultText: "LibTorch's own",
    help: "threads that latencies are measured with",
  }),
] as const;

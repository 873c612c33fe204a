/** The options of `compress()`: their defaults and checks. */
import { rules } from "../contract/config";
import { parseConstraints } from "../contract/constraints";
import type { Constraints } from "../contract/types";
import { type DataSource, isDataSource } from "../data/data-source";
import { TorchSearchError } from "../errors";
import { LOSSES, type Loss } from "../evaluation/losses";
import type { OutputMeaning } from "../evaluation/teacher-view";
import type { CollectFunction } from "../evaluation/types";
import type { FinetuneOptions } from "../finetune/options";
import type { ConvertConfig } from "../space/convert";
import { IMPORTANCE_CHOICES, type Importance } from "../space/importance";
import { requirePath } from "../util/check";
import { completeConfig } from "../util/complete-config";
import type { ProgressListener } from "../util/progress";
import { type ConfigRule, oneOf, orNull } from "../util/rules";

/** The options of `compress()`. Give one of `target`, `maxDrop` and `minScore`; `target` may have a `maxDrop` too. */
export interface CompressOptions {
  /** Training data: batches of inputs, and targets where `loss` is not null. */
  data: DataSource;
  /** Data that nothing learns from, or the share of the last batches of `data` that are kept for that; default 0.2. */
  holdout?: DataSource | number;
  /** One value, an array of arguments, or an array whose last item is a record of keyword arguments: as in `convert`. */
  dummyInput: unknown;
  /** The file for the result. Files of steps stand beside it. */
  output: string;
  /** Upper bounds on costs, as a search takes them: `{ flops: "50%" }`. */
  target?: Constraints | null;
  /** The most that the held-out rating may fall, as a share of 1 (0.01 is one point): find the smallest cost within. */
  maxDrop?: number | null;
  /**
   * What must be within `maxDrop`: the `drop` that was measured (the default), or the upper end of its 95 % `interval`, so
   * that it holds on all data and not on the held-out samples alone. That takes thousands of samples to be of use.
   */
  judgeBy?: "drop" | "interval";
  /** The least held-out rating, as a share of 1. */
  minScore?: number | null;
  /** With `maxDrop` or `minScore`: the cost to make small; default `flops`. */
  metric?: "flops" | "macs" | "params" | "size" | "memory" | "latency";
  /**
   * What is minimized on labelled data: `crossEntropy` (labels) or `meanSquaredError`. Null (the default) for data without
   * labels: the full model's outputs are what is learned.
   */
  loss?: Loss | null;
  /** Picks the model's inputs out of a batch; null (the default) takes the batch's first element. */
  collectFunc?: CollectFunction | null;
  /** Picks the target tensor out of a batch; null (the default) takes the batch's second element. */
  targetFunc?: CollectFunction | null;
  /**
   * Without labels, what the outputs are: `classes`, logits or probabilities of which one class is chosen; `features`,
   * which are compared number by number; or `auto` (the default): one tensor `[N, C]` is of classes, unless its rows have
   * length 1; numbers from 0 to 1 are probabilities; all others are features.
   */
  outputs?: OutputMeaning;
  /** Steps to a `target`; with `maxDrop` or `minScore`, budgets that are tried at most. Default 3, and 6. */
  steps?: number | null;
  /** Passes over the training data after each step; default 3. The last step to a `target` trains twice as long. */
  epochs?: number;
  /** Whether a step's subnet makes up for the channels that it lacks, before training; see `SearchSpace.reconstruct`. */
  reconstruct?: boolean;
  /** Batches that candidates of a search are scored on, and layers reconstructed on, at most; null for all. Default 4. */
  searchBatches?: number | null;
  /** The searcher's short name; default `milp`. */
  searcher?: string;
  /** Config keys of the searcher, such as `{ maxChoices: 2 }`. */
  searcherConfig?: Readonly<Record<string, unknown>>;
  /** Which layers may change, and how far: as in `convert`, and see `importance`. */
  convert?: Readonly<Partial<ConvertConfig>>;
  /**
   * How channels are ranked, as in `convert`; or `auto`: by the measure that loses least on the training data, with all
   * layers at three quarters and at half of their widths. Measures that learn get the training data.
   */
  importance?: Importance | "none" | "auto" | null;
  /**
   * Options of training, such as `{ learningRate: 3e-4 }`; see `finetune`. Without a learning rate, each step takes the
   * best of three: the optimizer's usual one, 0.3 and 0.1 times as much, each tried for a sixteenth of its steps.
   */
  finetune?: Readonly<Partial<FinetuneOptions>>;
  /**
   * The most that a step may lose, as a share of the full model's rating, before training is held to have failed:
   * `compress` goes back to the step before and takes half of it. Default 0.1.
   */
  heal?: number;
  /** Minutes after which no new step begins; null (the default) for no limit. */
  effort?: number | null;
  /** The file that keeps what was done, and from which `compress` goes on; null (the default) for none. */
  checkpoint?: string | null;
  /** Seed of searches and training; default 0. */
  seed?: number;
  /** Ends with `ERR_ABORTED`. What was done is in the checkpoint. */
  signal?: AbortSignal | null;
  /** Receives progress events. */
  onProgress?: ProgressListener | null;
  /** Receives a line for each step; null (the default) for none. */
  onStep?: ((line: string) => void) | null;
}

/** Options with every default filled in. */
export type CompleteCompressOptions = {
  [Key in keyof CompressOptions]-?: Exclude<CompressOptions[Key], undefined>;
};

const DEFAULTS: CompleteCompressOptions = {
  data: null as never,
  holdout: 0.2,
  dummyInput: null,
  output: "",
  target: null,
  maxDrop: null,
  judgeBy: "drop",
  minScore: null,
  metric: "flops",
  loss: null,
  collectFunc: null,
  targetFunc: null,
  outputs: "auto",
  steps: null,
  epochs: 3,
  reconstruct: true,
  searchBatches: 4,
  searcher: "milp",
  searcherConfig: {},
  convert: {},
  importance: null,
  finetune: {},
  heal: 0.1,
  effort: null,
  checkpoint: null,
  seed: 0,
  signal: null,
  onProgress: null,
  onStep: null,
};

const share: ConfigRule = {
  expected: "a share between 0 and 1",
  accepts: (value) => typeof value === "number" && value > 0 && value < 1,
};

const RULES: Record<keyof CompressOptions, ConfigRule> = {
  data: rules.dataSource,
  holdout: {
    expected: "batches, or a share between 0 and 1",
    accepts: (value) => share.accepts(value) || isDataSource(value),
  },
  dummyInput: { expected: "the model's inputs", accepts: (value) => value !== null },
  output: rules.path,
  target: orNull(rules.record),
  maxDrop: orNull({
    expected: "a share from 0 to below 1, such as 0.01",
    accepts: (value) => typeof value === "number" && value >= 0 && value < 1,
  }),
  judgeBy: oneOf(["drop", "interval"]),
  minScore: orNull(share),
  metric: oneOf(["flops", "macs", "params", "size", "memory", "latency"]),
  loss: orNull(oneOf(LOSSES)),
  collectFunc: orNull(rules.func),
  targetFunc: orNull(rules.func),
  outputs: oneOf(["auto", "classes", "features"]),
  steps: orNull(rules.positiveInteger),
  epochs: rules.positiveInteger,
  reconstruct: rules.boolean,
  searchBatches: orNull(rules.positiveInteger),
  searcher: rules.text,
  searcherConfig: rules.record,
  convert: rules.record,
  importance: orNull(oneOf(IMPORTANCE_CHOICES)),
  finetune: rules.record,
  heal: share,
  effort: orNull(rules.positive),
  checkpoint: orNull(rules.path),
  seed: rules.nonNegativeInteger,
  signal: orNull(rules.signal),
  onProgress: orNull(rules.func),
  onStep: orNull(rules.func),
};

/** @throws `ERR_CONFIG_VALUE`, `ERR_UNKNOWN_CONFIG_KEY`, and errors of constraints */
export function readCompressOptions(given: CompressOptions): CompleteCompressOptions {
  const options = completeConfig<CompleteCompressOptions>(
    given as Partial<CompleteCompressOptions>,
    DEFAULTS,
    RULES,
    { whole: "options", key: "option" },
  );
  const { target, maxDrop, minScore, output } = options;
  requirePath(output, "compress");
  if (target === null && maxDrop === null && minScore === null) {
    throw conflict("say how small, or how good: give target, maxDrop or minScore");
  }
  if (maxDrop !== null && minScore !== null)
    throw conflict("maxDrop and minScore exclude each other; drop one");
  if (target !== null && minScore !== null)
    throw conflict("target and minScore exclude each other; drop one");
  if (target !== null) {
    const parsed = parseConstraints(target, {});
    if (Object.keys(parsed.upper).length === 0)
      throw conflict('target has no bound; give one, such as { flops: "50%" }');
  }
  return options;
}

function conflict(message: string): TorchSearchError {
  return new TorchSearchError("ERR_CONFIG_VALUE", message);
}

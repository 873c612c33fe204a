/**
 * The command's options, each in one row: flag, commands that have it, the setting that it gives, how its value is read
 * and checked, its default, and its help. The declarations for commander, the types of the settings, the keys of a
 * `--settings` file and the reference in docs/cli.md derive from it.
 *
 * To add an option, add a row here, and use its key where the command does its work.
 */

import type { Constraints } from "../../contract/types";
import { INTERPOLATIONS } from "../../data/image-decode";
import { IMAGE_DEFAULTS, type ImagePreprocessing } from "../../data/image-preprocess";
import { LOADER_DEFAULTS } from "../../data/tensor-loader";
import { LOSS_TABLE, LOSSES, type LossName, lossFor } from "../../evaluation/losses";
import {
  DEFAULT_EPOCHS,
  DISTILLATION_DEFAULTS,
  OPTIMIZER_DEFAULTS,
  OPTIMIZERS,
  SCHEDULES,
  TRAINING_DEFAULTS,
} from "../../finetune/options";
import { SUPERNET_DEFAULTS } from "../../finetune/supernet-options";
import { exampleBounds } from "../../profile/metrics";
import { PROFILE_DEFAULTS } from "../../profile/types";
import { QUANTIZE_DEFAULTS } from "../../quantization/convert";
import { QUANTIZATION_FORMATS } from "../../quantization/formats";
import { RandomSearcher } from "../../search/width/random";
import { CONVERT_DEFAULTS } from "../../space/convert";
import { IMPORTANCE_CHOICES, WEIGHT_IMPORTANCES } from "../../space/importance";
import { SPARSE_DEFAULTS } from "../../sparsity/convert";
import { MODES, SEARCHERS, WIDTH_MODES } from "../modes";
import {
  assignments,
  choice,
  colors,
  constraints,
  dataFiles,
  file,
  flag,
  type Kind,
  namesInFile,
  number,
  positive,
  share,
  text,
  texts,
  whole,
} from "./kinds";

const MODEL = { name: "model", help: "a TorchScript file (torch.jit.save)" } as const;

/** The commands: what each does, and its argument. */
export const COMMANDS = {
  search: {
    help: "find the subnet with the best score within the constraints, and save it",
    argument: MODEL,
  },
  resume: {
    help: "continue a search from its checkpoint, with the settings that it was started with",
    argument: { name: "checkpoint", help: "a file that torchsearch search saved" },
  },
  export: { help: "save one subnet of a model: given widths, or the best of a search", argument: MODEL },
  finetune: { help: "train a model, such as the subnet of a search, and save it", argument: MODEL },
  report: {
    help: "explain a search in one HTML file, from its checkpoint, finished or not",
    argument: { name: "state", help: "a checkpoint of a search (*.search.safetensors)" },
  },
  profile: {
    help: "show what a TorchScript model costs: parameters, FLOPs, bytes and latency, by operator",
    argument: MODEL,
  },
  prunable: {
    help: "show which parts of a TorchScript model can be narrowed, and why others can't",
    argument: MODEL,
  },
  history: {
    help: "show which modes, searches and settings made a TorchScript model",
    argument: { name: "model", help: "a TorchScript file that torchsearch exported" },
  },
  doctor: {
    help: "show what torchsearch found on this machine, what is missing, and how to fix it",
    argument: null,
  },
  build: {
    help: "compile the addon for the LibTorch on this machine, where no prebuilt one fits",
    argument: null,
  },
} as const satisfies Record<string, { help: string; argument: { name: string; help: string } | null }>;

/** The name of a command. */
export type CommandName = keyof typeof COMMANDS;

/** One option, with the types of its commands, key and value. */
interface TypedRow<Commands, Key, Value, Default, TerminalOnly> {
  /** As commander reads it: `--batch-size <count>`, `--data <file...>`, `--no-shuffle`. */
  readonly flag: string;
  /** The commands that have it. */
  readonly commands: Commands;
  /**
   * The setting that it gives, by which a settings file names it too. `images.crop` is the key `crop` in the record
   * `images`.
   */
  readonly key: Key;
  readonly kind: Kind<Value>;
  /** Null where the absence has a meaning of its own; missing where the option is required. */
  readonly default?: Default;
  /** The default in words, where the value does not say it. */
  readonly defaultText?: string;
  readonly help: string;
  /** True for options that a settings file can't hold. */
  readonly terminalOnly?: TerminalOnly;
}

/** Any option. */
export type OptionRow = TypedRow<readonly CommandName[], string, unknown, unknown, boolean>;

function row<
  const Commands extends readonly CommandName[],
  const Key extends string,
  Value,
  const Default extends Value | null | undefined = undefined,
  const TerminalOnly extends true | undefined = undefined,
>(
  spec: TypedRow<Commands, Key, Value, Default, TerminalOnly>,
): TypedRow<Commands, Key, Value, Default, TerminalOnly> {
  return spec;
}

/** How candidates can be rated: by accuracy, by minus a loss, or as the targets suggest. */
export const SCORES = ["auto", "accuracy", ...(Object.keys(LOSS_TABLE) as LossName[])] as const;
/** The name of a score. */
export type ScoreName = (typeof SCORES)[number];

const DATA_COMMANDS = ["search", "export", "finetune"] as const;
const SEARCH_COMMANDS = ["search", "export"] as const;

/** `1e-3 for adamw, 1e-2 for sgd` */
const byOptimizer = (key: keyof (typeof OPTIMIZER_DEFAULTS)["sgd"]): string =>
  OPTIMIZERS.map((name) => `${OPTIMIZER_DEFAULTS[name][key]} for ${name}`).join(", ");

const INPUT_HELP = "an input's shape, such as 1x3x224x224, 1x16:int64 or mask=1x16:bool; once for each input";

/** All options, in the order in which the help shows them. */
export const OPTIONS = [
  // The bounds of a search.
  row({
    flag: "--constraint <bound...>",
    commands: ["search"],
    key: "constraints",
    kind: constraints,
    default: {} as Constraints,
    help:
      `upper bounds, all of which hold: ${exampleBounds(["widths"]).join(", ")} (ms); ` +
      `for auto_quantize ${exampleBounds(["formats"]).join(" or ")}`,
  }),

  // Which subnet is exported.
  row({
    flag: "--config <file>",
    commands: ["export"],
    key: "config",
    kind: text,
    default: null,
    terminalOnly: true,
    help: "JSON: the width of each hyperparameter by name; those left out stay full",
  }),
  row({
    flag: "--checkpoint <file>",
    commands: ["export"],
    key: "checkpoint",
    kind: text,
    default: null,
    terminalOnly: true,
    help: "take the best subnet of this search, with its data and settings",
  }),
  row({
    flag: "--output <file>",
    commands: ["export"],
    key: "output",
    kind: file,
    help: "the file for the subnet",
  }),

  // Data.
  row({
    flag: "--data <file...>",
    commands: DATA_COMMANDS,
    key: "data",
    kind: dataFiles,
    default: [] as string[],
    help: "a .npz or .safetensors file, .npy files (inputs, targets; or name=file), or a folder of images",
  }),
  row({
    flag: "--input-array <name...>",
    commands: DATA_COMMANDS,
    key: "inputArrays",
    kind: texts,
    default: null,
    defaultText: "by name, such as images or x",
    help: "the arrays that the model takes",
  }),
  row({
    flag: "--target-array <name>",
    commands: DATA_COMMANDS,
    key: "targetArray",
    kind: text,
    default: null,
    defaultText: "by name, such as labels or y",
    help: "the array of the targets",
  }),
  row({
    flag: "--eval-data <file...>",
    commands: ["finetune"],
    key: "evalData",
    kind: dataFiles,
    default: null,
    help: "score the model on these data, as --data, before and after each epoch, and keep the best weights",
  }),
  row({
    flag: "--eval-data <file...>",
    commands: ["search"],
    key: "evalData",
    kind: dataFiles,
    default: null,
    help: "score the outcome on these data, as --data",
  }),
  row({
    flag: "--eval-input-array <name...>",
    commands: ["search", "finetune"],
    key: "evalInputArrays",
    kind: texts,
    default: null,
    help: "the arrays of --eval-data that the model takes",
  }),
  row({
    flag: "--eval-target-array <name>",
    commands: ["search", "finetune"],
    key: "evalTargetArray",
    kind: text,
    default: null,
    help: "the array of the targets of --eval-data",
  }),
  row({
    flag: "--holdout <share>",
    commands: ["search"],
    key: "holdout",
    kind: share,
    default: null,
    help: "keep this share of the batches from the search, and score its outcome on them, such as 20%",
  }),
  row({
    flag: "--batch-size <count>",
    commands: SEARCH_COMMANDS,
    key: "batchSize",
    kind: positive,
    default: LOADER_DEFAULTS.batchSize,
    help: "samples in a batch",
  }),
  row({
    flag: "--batch-size <count>",
    commands: ["finetune"],
    key: "batchSize",
    kind: positive,
    default: 32,
    help: "samples in a batch",
  }),
  row({
    flag: "--no-shuffle",
    commands: DATA_COMMANDS,
    key: "shuffle",
    kind: flag,
    default: true,
    help: "take the samples in the order of the files",
  }),
  row({
    flag: "--seed <number>",
    commands: SEARCH_COMMANDS,
    key: "seed",
    kind: whole,
    default: 0,
    help: "seed of the samples' order and of the search",
  }),
  row({
    flag: "--seed <number>",
    commands: ["finetune"],
    key: "seed",
    kind: whole,
    default: TRAINING_DEFAULTS.seed,
    help: "seed of the samples' order and of dropout",
  }),
  row({
    flag: "--max-batches <count>",
    commands: ["search"],
    key: "maxBatches",
    kind: positive,
    default: null,
    defaultText: "all",
    help: "batches to rate a candidate on",
  }),
  row({
    flag: "--calibration-batches <count>",
    commands: SEARCH_COMMANDS,
    key: "calibrationBatches",
    kind: positive,
    default: null,
    defaultText: "as --max-batches",
    help: "batches for batch norms, and for what is calibrated",
  }),
  row({
    flag: "--no-recalibrate",
    commands: SEARCH_COMMANDS,
    key: "recalibrate",
    kind: flag,
    default: true,
    help: "keep the full model's batch norm statistics",
  }),

  // Images.
  row({
    flag: "--image-crop <pixels>",
    commands: DATA_COMMANDS,
    key: "images.crop",
    kind: positive,
    default: null,
    defaultText: String(IMAGE_DEFAULTS.crop),
    help: "side of the square cut out of the middle",
  }),
  row({
    flag: "--image-resize <pixels>",
    commands: DATA_COMMANDS,
    key: "images.resize",
    kind: positive,
    default: null,
    defaultText: `${IMAGE_DEFAULTS.resize}, or the crop's where that is larger`,
    help: "shorter side before that",
  }),
  row({
    flag: "--image-interpolation <name>",
    commands: DATA_COMMANDS,
    key: "images.interpolation",
    kind: choice(INTERPOLATIONS),
    default: null,
    defaultText: IMAGE_DEFAULTS.interpolation,
    help: "how images are resized",
  }),
  row({
    flag: "--image-mean <r,g,b>",
    commands: DATA_COMMANDS,
    key: "images.mean",
    kind: colors,
    default: null,
    defaultText: IMAGE_DEFAULTS.mean.join(),
    help: "subtracted from values of 0 to 1",
  }),
  row({
    flag: "--image-std <r,g,b>",
    commands: DATA_COMMANDS,
    key: "images.std",
    kind: colors,
    default: null,
    defaultText: IMAGE_DEFAULTS.std.join(),
    help: "values are divided by it after that",
  }),
  row({
    flag: "--image-classes <file>",
    commands: DATA_COMMANDS,
    key: "images.classes",
    kind: namesInFile,
    default: null,
    defaultText: "those that are there, sorted",
    help: "subfolders by label, one a line",
  }),

  // The model.
  row({
    flag: "--input <shape...>",
    commands: SEARCH_COMMANDS,
    key: "input",
    kind: texts,
    default: null,
    defaultText: "one sample of the data",
    help: "shape of the input that costs refer to, such as 1x3x224x224",
  }),
  row({
    flag: "--input <shape...>",
    commands: ["profile", "prunable"],
    key: "input",
    kind: texts,
    help: INPUT_HELP,
  }),
  row({
    flag: "--device <device>",
    commands: DATA_COMMANDS,
    key: "device",
    kind: text,
    default: null,
    defaultText: "as in the model's file",
    help: "cpu or cuda",
  }),
  row({
    flag: "--device <device>",
    commands: ["profile", "prunable"],
    key: "device",
    kind: text,
    default: null,
    defaultText: "cpu",
    help: "cpu or cuda",
  }),

  // The search space.
  row({
    flag: "--mode <name>",
    commands: ["search"],
    key: "mode",
    kind: choice(MODES),
    default: "fastnas",
    help: "what is searched",
  }),
  row({
    flag: "--mode <name>",
    commands: ["export"],
    key: "mode",
    kind: choice(WIDTH_MODES),
    default: "fastnas",
    help: "what was searched",
  }),
  row({
    flag: "--supernet",
    commands: ["finetune"],
    key: "supernet",
    kind: flag,
    default: false,
    help: "train all subnets at once, for a search with --mode autonas --importance none",
  }),
  row({
    flag: "--random-subnets <count>",
    commands: ["finetune"],
    key: "randomSubnets",
    kind: whole,
    default: SUPERNET_DEFAULTS.randomSubnets,
    help: "for --supernet: random subnets in each step, besides the largest and the smallest",
  }),
  row({
    flag: "--smallest <share>",
    commands: ["finetune"],
    key: "smallest",
    kind: share,
    default: null,
    defaultText: "the smallest choices",
    help: "for --supernet: no width below this share of the full one, such as 25%",
  }),
  row({
    flag: "--channel-divisor <number>",
    commands: SEARCH_COMMANDS,
    key: "channelDivisor",
    kind: positive,
    default: CONVERT_DEFAULTS.channelDivisor,
    help: "widths are multiples of it",
  }),
  row({
    flag: "--channel-divisor <number>",
    commands: ["finetune"],
    key: "channelDivisor",
    kind: positive,
    default: CONVERT_DEFAULTS.channelDivisor,
    help: "for --supernet: widths are multiples of it",
  }),
  row({
    flag: "--channel-divisor <number>",
    commands: ["prunable"],
    key: "channelDivisor",
    kind: whole,
    default: CONVERT_DEFAULTS.channelDivisor,
    help: "widths to choose from are multiples of it",
  }),
  row({
    flag: "--importance <name>",
    commands: SEARCH_COMMANDS,
    key: "importance",
    kind: choice(IMPORTANCE_CHOICES),
    default: CONVERT_DEFAULTS.importance,
    help: "how channels are ranked",
  }),
  row({
    flag: "--importance <name>",
    commands: ["finetune"],
    key: "importance",
    kind: choice([...WEIGHT_IMPORTANCES, "none"]),
    default: CONVERT_DEFAULTS.importance,
    help: "for --supernet: how channels are ranked, once",
  }),
  row({
    flag: "--importance <name>",
    commands: ["prunable"],
    key: "importance",
    kind: text,
    default: CONVERT_DEFAULTS.importance,
    help: `how channels are ranked: ${WEIGHT_IMPORTANCES.join(", ")}`,
  }),
  row({
    flag: "--pattern <pattern>",
    commands: ["search"],
    key: "modeOptions.pattern",
    kind: text,
    default: null,
    defaultText: SPARSE_DEFAULTS.pattern,
    help: "for the sparse modes: N:M keeps N of each M weights; or unstructured",
  }),
  row({
    flag: "--density <share>",
    commands: ["search"],
    key: "searcherOptions.density",
    kind: share,
    default: null,
    help: "for the sparse modes: the share of weights to keep, unstructured, such as 40%",
  }),
  row({
    flag: "--format <name...>",
    commands: ["search"],
    key: "modeOptions.formats",
    kind: texts,
    default: null,
    defaultText: (QUANTIZE_DEFAULTS.formats as readonly string[]).join(" "),
    help: `for auto_quantize: formats to choose from; known are ${Object.keys(QUANTIZATION_FORMATS).join(", ")}`,
  }),
  row({
    flag: "--exclude <layer...>",
    commands: ["search"],
    key: "modeOptions.exclude",
    kind: texts,
    default: null,
    help: "for the sparse modes and auto_quantize: layers to leave as they are",
  }),
  row({
    flag: "--mode-set <key=value...>",
    commands: ["search"],
    key: "modeOptions",
    kind: assignments,
    default: {} as Record<string, unknown>,
    help: "another config key of the mode, such as skipFirst=true or depth=false",
  }),

  // The search.
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
    help: "candidates to try, for evolve, random and pareto",
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

  // Training.
  row({
    flag: "--teacher <file>",
    commands: ["finetune"],
    key: "teacher",
    kind: file,
    default: null,
    help: "a TorchScript file, such as the full model, to learn from too",
  }),
  row({
    flag: "--alpha <share>",
    commands: ["finetune"],
    key: "alpha",
    kind: number,
    default: null,
    defaultText: `${DISTILLATION_DEFAULTS.alpha}; with --supernet, whose largest subnet is the teacher, ${SUPERNET_DEFAULTS.alpha}`,
    help: "the teacher's share in the loss, 0 to 1; 1 needs no targets",
  }),
  row({
    flag: "--temperature <number>",
    commands: ["finetune"],
    key: "temperature",
    kind: number,
    default: null,
    defaultText: `${DISTILLATION_DEFAULTS.temperature}; with --supernet ${SUPERNET_DEFAULTS.temperature}`,
    help: "softens the teacher's part of the loss",
  }),
  row({
    flag: "--epochs <count>",
    commands: ["finetune"],
    key: "epochs",
    kind: positive,
    default: null,
    defaultText: String(DEFAULT_EPOCHS),
    help: "passes over the data",
  }),
  row({
    flag: "--steps <count>",
    commands: ["finetune"],
    key: "steps",
    kind: positive,
    default: null,
    help: "batches to train on, instead of --epochs",
  }),
  row({
    flag: "--optimizer <name>",
    commands: ["finetune"],
    key: "optimizer",
    kind: choice(OPTIMIZERS),
    default: TRAINING_DEFAULTS.optimizer,
    help: "how weights are changed",
  }),
  row({
    flag: "--lr <rate>",
    commands: ["finetune"],
    key: "learningRate",
    kind: number,
    default: null,
    defaultText: byOptimizer("learningRate"),
    help: "the largest learning rate",
  }),
  row({
    flag: "--weight-decay <number>",
    commands: ["finetune"],
    key: "weightDecay",
    kind: number,
    default: null,
    defaultText: byOptimizer("weightDecay"),
    help: "weight decay, except for biases and norms",
  }),
  row({
    flag: "--momentum <number>",
    commands: ["finetune"],
    key: "momentum",
    kind: number,
    default: TRAINING_DEFAULTS.momentum,
    help: "momentum of sgd",
  }),
  row({
    flag: "--nesterov",
    commands: ["finetune"],
    key: "nesterov",
    kind: flag,
    default: TRAINING_DEFAULTS.nesterov,
    help: "Nesterov's momentum, for sgd",
  }),
  row({
    flag: "--schedule <name>",
    commands: ["finetune"],
    key: "schedule",
    kind: choice(SCHEDULES),
    default: TRAINING_DEFAULTS.schedule,
    help: "how the learning rate changes over the steps",
  }),
  row({
    flag: "--warmup-steps <count>",
    commands: ["finetune"],
    key: "warmupSteps",
    kind: whole,
    default: TRAINING_DEFAULTS.warmupSteps,
    help: "steps over which the learning rate rises",
  }),
  row({
    flag: "--clip-norm <number>",
    commands: ["finetune"],
    key: "clipNorm",
    kind: number,
    default: null,
    defaultText: "no limit",
    help: "largest norm of all gradients together",
  }),
  row({
    flag: "--loss <name>",
    commands: ["finetune"],
    key: "loss",
    kind: choice(LOSSES),
    default: null,
    defaultText: `${lossFor(true)} for labels, ${lossFor(false)} for other targets`,
    help: "what is minimized",
  }),
  row({
    flag: "--label-smoothing <share>",
    commands: ["finetune"],
    key: "labelSmoothing",
    kind: number,
    default: TRAINING_DEFAULTS.labelSmoothing,
    help: "share of each label that is spread over all classes",
  }),
  row({
    flag: "--recalibrate",
    commands: ["finetune"],
    key: "recalibrate",
    kind: flag,
    default: false,
    help: "average the batch norms' statistics over the data after training",
  }),

  // Profiles.
  row({
    flag: "--no-latency",
    commands: ["profile"],
    key: "latency",
    kind: flag,
    default: true,
    help: "do not time anything",
  }),
  row({
    flag: "--warmup <count>",
    commands: ["profile"],
    key: "warmup",
    kind: whole,
    default: PROFILE_DEFAULTS.warmup,
    help: "forward passes before the first timed one",
  }),
  row({
    flag: "--repeats <count>",
    commands: ["profile"],
    key: "repeats",
    kind: whole,
    default: PROFILE_DEFAULTS.repeats,
    help: "timed forward passes",
  }),
  row({
    flag: "--threads <count>",
    commands: ["profile"],
    key: "threads",
    kind: whole,
    default: null,
    defaultText: "LibTorch's own",
    help: "threads within an operator",
  }),
  row({
    flag: "--top <count>",
    commands: ["profile"],
    key: "top",
    kind: whole,
    default: PROFILE_DEFAULTS.top,
    help: "operators to show, the most expensive first",
  }),
  row({
    flag: "--examples <count>",
    commands: ["prunable"],
    key: "examples",
    kind: whole,
    default: 3,
    help: "dimensions to show for each reason",
  }),
  row({
    flag: "--seed <number>",
    commands: ["profile", "prunable"],
    key: "seed",
    kind: whole,
    default: 0,
    help: "seed of the random inputs",
  }),
  row({
    flag: "--train",
    commands: ["profile"],
    key: "train",
    kind: flag,
    default: false,
    help: "profile in training mode",
  }),

  // Files and output.
  row({
    flag: "--settings <file>",
    commands: ["search", "finetune"],
    key: "settings",
    kind: file,
    default: null,
    terminalOnly: true,
    help: "JSON with any of these settings; options on the command line come first",
  }),
  row({
    flag: "--checkpoint <file>",
    commands: ["search"],
    key: "checkpoint",
    kind: file,
    default: null,
    defaultText: "beside the output, *.search.safetensors",
    help: "the file that the search saves its state to and resumes from",
  }),
  row({
    flag: "--checkpoint <file>",
    commands: ["finetune"],
    key: "checkpoint",
    kind: file,
    default: null,
    defaultText: "beside the output, *.finetune.safetensors",
    help: "the file that training saves its state to and resumes from",
  }),
  row({
    flag: "--resume",
    commands: ["finetune"],
    key: "resume",
    kind: flag,
    default: false,
    terminalOnly: true,
    help: "continue from the checkpoint, which must exist",
  }),
  row({
    flag: "--output <file>",
    commands: ["search"],
    key: "output",
    kind: file,
    default: null,
    defaultText: "MODEL.subnet.pt, or MODEL.MODE.pt for other modes, in this folder",
    help: "the file for the result",
  }),
  row({
    flag: "--output <file>",
    commands: ["resume"],
    key: "output",
    kind: file,
    default: null,
    defaultText: "as in the search",
    help: "the file for the result",
  }),
  row({
    flag: "--output <file>",
    commands: ["finetune"],
    key: "output",
    kind: file,
    default: null,
    defaultText: "MODEL.finetuned.pt in this folder",
    help: "the file for the model",
  }),
  row({
    flag: "--output <file>",
    commands: ["report"],
    key: "output",
    kind: file,
    default: null,
    defaultText: "beside the checkpoint, *.html",
    help: "the file for the page",
  }),
  row({
    flag: "--json",
    commands: [
      "search",
      "resume",
      "export",
      "finetune",
      "report",
      "profile",
      "prunable",
      "history",
      "doctor",
      "build",
    ],
    key: "json",
    kind: flag,
    default: false,
    terminalOnly: true,
    help: "print one JSON document on standard output",
  }),
  row({
    flag: "--verbose",
    commands: ["search", "resume"],
    key: "verbose",
    kind: flag,
    default: false,
    terminalOnly: true,
    help: "report the searcher's steps on standard error",
  }),
] as const;

/** Flags that earlier versions had: refused, with the present one named. */
export const EARLIER_FLAGS: readonly { command: CommandName; earlier: string; present: string }[] = [
  { command: "search", earlier: "--config", present: "--settings" },
  { command: "finetune", earlier: "--config", present: "--settings" },
  { command: "finetune", earlier: "--subnets", present: "--random-subnets" },
  { command: "prunable", earlier: "--divisor", present: "--channel-divisor" },
];

/** How images of a folder are prepared, and how their classes are numbered. */
export interface ImageRequest extends ImagePreprocessing {
  /** Subfolders by label. */
  classes?: readonly string[];
}

type Row = (typeof OPTIONS)[number];
type RowOf<Name extends CommandName, R = Row> = R extends { commands: readonly (infer Command)[] }
  ? Name extends Command
    ? R
    : never
  : never;
type ValueOf<R> = R extends { kind: Kind<infer Value>; default?: infer Default }
  ? null extends Default
    ? Value | null
    : Value
  : never;
type TopKey<Key> = Key extends `${string}.${string}` ? never : Key;
type HasImages<Keys> = Extract<Keys, `images.${string}`> extends never
  ? unknown
  : { images: ImageRequest | null };

/** The values of a command's options, by key; null where an option was not given and has no default. */
export type OptionsOf<Name extends CommandName> = {
  [R in RowOf<Name> as TopKey<R["key"]>]: ValueOf<R>;
} & HasImages<RowOf<Name>["key"]>;

/** The part of {@link OptionsOf} that a settings file may hold. */
export type SettingsOf<Name extends CommandName> = {
  [R in RowOf<Name> as R extends { terminalOnly?: true | undefined }
    ? true extends R["terminalOnly"]
      ? never
      : TopKey<R["key"]>
    : TopKey<R["key"]>]: ValueOf<R>;
} & HasImages<RowOf<Name>["key"]>;

/** The rows of a command, in the table's order. */
export function rowsOf(name: CommandName): OptionRow[] {
  return (OPTIONS as readonly OptionRow[]).filter(({ commands }) => commands.includes(name));
}

/** The flag that gives a setting, such as `--channel-divisor`. */
export function flagOf(name: CommandName, key: string): string {
  const found = rowsOf(name).find((each) => each.key === key);
  return found === undefined ? key : (found.flag.split(" ")[0] as string);
}

/** The settings of a command that was given no option. */
export function defaultsOf<Name extends CommandName>(name: Name): OptionsOf<Name> {
  const top = rowsOf(name).filter(({ key }) => !key.includes("."));
  const defaults = top.map(({ key, default: value }) => [key, structuredClone(value)]);
  const images = rowsOf(name).some(({ key }) => key.startsWith("images.")) ? { images: null } : {};
  return { ...Object.fromEntries(defaults), ...images } as OptionsOf<Name>;
}

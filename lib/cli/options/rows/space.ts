/** Options of the model and of its search space. */

import { SUPERNET_DEFAULTS } from "../../../finetune/supernet-options";
import { QUANTIZE_DEFAULTS } from "../../../quantization/convert";
import { QUANTIZATION_FORMATS } from "../../../quantization/formats";
import { CONVERT_DEFAULTS } from "../../../space/convert";
import { DEFAULT_IMPORTANCE, IMPORTANCE_CHOICES, WEIGHT_IMPORTANCES } from "../../../space/importance";
import { SPARSE_DEFAULTS } from "../../../sparsity/convert";
import { MODES, WIDTH_MODES } from "../../modes";
import { CONTROL_COMMANDS, DATA_COMMANDS, SEARCH_COMMANDS } from "../commands";
import { assignments, choice, flag, positive, share, text, texts, whole } from "../kinds";
import { row } from "../row";

const INPUT_HELP =
  "an input's shape, such as 1x3x224x224, 1x16:int64 or mask=1x16:bool, or a number, such as sr=16000; once for each input";

export const SPACE_OPTIONS = [
  row({
    flag: "--input <shape...>",
    commands: SEARCH_COMMANDS,
    key: "input",
    kind: texts,
    default: null,
    defaultText: "one sample of the data",
    help: "shape of the input that costs refer to, such as 1x3x224x224; or a number for an argument, such as sr=16000",
  }),
  row({
    flag: "--input <number...>",
    commands: ["finetune"],
    key: "input",
    kind: texts,
    default: null,
    help: "a number for an argument, such as sr=16000; once for each",
  }),
  row({
    flag: "--input <shape...>",
    commands: ["profile", "prunable"],
    key: "input",
    kind: texts,
    default: null,
    defaultText: "the sample inputs in a .pt2 file",
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
    default: DEFAULT_IMPORTANCE,
    help: "how channels are ranked",
  }),
  row({
    flag: "--importance <name>",
    commands: ["finetune"],
    key: "importance",
    kind: choice([...WEIGHT_IMPORTANCES, "none"]),
    default: DEFAULT_IMPORTANCE,
    help: "for --supernet: how channels are ranked, once",
  }),
  row({
    flag: "--importance <name>",
    commands: ["prunable"],
    key: "importance",
    kind: text,
    default: DEFAULT_IMPORTANCE,
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
    flag: "--mode-set <key=value...>",
    commands: CONTROL_COMMANDS,
    key: "modeOptions",
    kind: assignments,
    default: {} as Record<string, unknown>,
    help: "another config key of the mode, such as skipFirst=true or depth=false",
  }),
] as const;

/** Options that say what may be changed of a model, and how far. */

import { CONTROL_COMMANDS } from "../commands";
import { roundings, texts, ties, whole, widthBounds } from "../kinds";
import { row } from "../row";

export const CONTROL_OPTIONS = [
  row({
    flag: "--include <layer...>",
    commands: CONTROL_COMMANDS,
    key: "modeOptions.include",
    kind: texts,
    default: null,
    defaultText: "everything",
    help: "change only these: names or kinds (prunable shows them), or globs such as layer1.*",
  }),
  row({
    flag: "--exclude <layer...>",
    commands: CONTROL_COMMANDS,
    key: "modeOptions.exclude",
    kind: texts,
    default: null,
    help: "layers to leave as they are: names, kinds or globs, also where --include names them",
  }),
  row({
    flag: "--min-width <bound...>",
    commands: CONTROL_COMMANDS,
    key: "modeOptions.minWidth",
    kind: widthBounds,
    default: null,
    help: "no width below it: 16, 25% of the full one, or layer1.*=25% for some",
  }),
  row({
    flag: "--max-width <bound...>",
    commands: CONTROL_COMMANDS,
    key: "modeOptions.maxWidth",
    kind: widthBounds,
    default: null,
    help: "no width above it, in the same way",
  }),
  row({
    flag: "--round-to <count>",
    commands: CONTROL_COMMANDS,
    key: "modeOptions.roundTo",
    kind: roundings,
    default: null,
    help: "numbers of channels are multiples of it, or full; hardware for what the device's matrix units read at once",
  }),
  row({
    flag: "--tie <layers...>",
    commands: CONTROL_COMMANDS,
    key: "modeOptions.ties",
    kind: ties,
    default: null,
    help: "layers of one width, with commas between them, such as conv1,conv2",
  }),
  row({
    flag: "--max-left-out <count>",
    commands: CONTROL_COMMANDS,
    key: "modeOptions.maxLeftOut",
    kind: whole,
    default: null,
    defaultText: "any number",
    help: "the most residual blocks to leave out: those that the outputs miss least",
  }),
] as const;

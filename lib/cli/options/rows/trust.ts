/** Options that say how a model's file is read, and how far it is trusted. */

import { flag, positive, text, texts } from "../kinds";
import { row } from "../row";

const MODEL_COMMANDS = [
  "search",
  "resume",
  "export",
  "finetune",
  "compress",
  "profile",
  "prunable",
  "history",
] as const;

export const TRUST_OPTIONS = [
  row({
    flag: "--allow-unsafe <name...>",
    commands: MODEL_COMMANDS,
    key: "allowUnsafe",
    kind: texts,
    default: [] as string[],
    terminalOnly: true,
    help: "let the model's file name these operators and classes too, such as prim::Print; only for files that you trust",
  }),
  row({
    flag: "--no-verify",
    commands: MODEL_COMMANDS,
    key: "verify",
    kind: flag,
    default: true,
    terminalOnly: true,
    help: "don't compare the checksums of the model's file",
  }),
  row({
    flag: "--model <name>",
    commands: MODEL_COMMANDS,
    key: "modelName",
    kind: text,
    default: null,
    terminalOnly: true,
    help: "of a .pt2 file with several programs: which one",
  }),
  row({
    flag: "--timeout <seconds>",
    commands: MODEL_COMMANDS,
    key: "timeout",
    kind: positive,
    default: null,
    terminalOnly: true,
    help: "end the command after so many seconds: a model may never end",
  }),
] as const;

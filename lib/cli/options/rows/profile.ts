/** Options of `profile` and `prunable`. */

import { PROFILE_DEFAULTS } from "../../../profile/types";
import { flag, whole } from "../kinds";
import { row } from "../row";

export const PROFILE_OPTIONS = [
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
] as const;

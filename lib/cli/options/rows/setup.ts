/** Options of `torchsearch setup` and `torchsearch launch`. */

import { plainRules } from "../../../util/rules";
import { flag, type Kind, positive, text, whole } from "../kinds";
import { row } from "../row";

/** A tag, or nothing after the flag. */
const tag: Kind<string | true> = { read: (value) => value, rule: plainRules.text };

export const SETUP_OPTIONS = [
  row({
    flag: "--nproc <count>",
    commands: ["launch"],
    key: "nproc",
    kind: positive,
    default: null,
    defaultText: "as many as this machine has cores",
    help: "processes to start",
  }),
  row({
    flag: "--max-restarts <count>",
    commands: ["launch"],
    key: "maxRestarts",
    kind: whole,
    default: 3,
    help: "how often all processes are started again, from what was measured, after one was killed",
  }),
  row({
    flag: "--cuda [tag]",
    commands: ["setup"],
    key: "cuda",
    kind: tag,
    default: null,
    defaultText: "the CPU build",
    help: "a CUDA build: the one with this tag, such as cu126, or any",
  }),
  row({
    flag: "--torch <version>",
    commands: ["setup"],
    key: "torch",
    kind: text,
    default: null,
    defaultText: "what the addon here is built for",
    help: "the minor version of PyTorch, such as 2.13",
  }),
  row({
    flag: "--index <url>",
    commands: ["setup"],
    key: "index",
    kind: text,
    default: null,
    defaultText: "TORCHSEARCH_PYTHON_INDEX, torchsearch-index in .npmrc, or pip's settings",
    help: "the Python package index to fetch from; {variant} in it stands for cpu or the tag",
  }),
  row({
    flag: "--no-python",
    commands: ["setup"],
    key: "python",
    kind: flag,
    default: true,
    help: "don't use pip, even where Python has it",
  }),
  row({
    flag: "--headers",
    commands: ["setup"],
    key: "headers",
    kind: flag,
    default: false,
    help: "unpack the headers too, which torchsearch build needs",
  }),
] as const;

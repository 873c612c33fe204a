/** Options that say which subnet is asked for. */

import type { Constraints } from "../../../contract/types";
import { FILE_FORMATS } from "../../../model/file-format";
import { exampleBounds } from "../../../profile/metrics";
import { choice, constraints, file, flag, text } from "../kinds";
import { row } from "../row";

export const SUBNET_OPTIONS = [
  row({
    flag: "--constraint <bound...>",
    commands: ["search"],
    key: "constraints",
    kind: constraints,
    default: {} as Constraints,
    help:
      `upper bounds, all of which hold: ${exampleBounds(["widths"]).join(", ")}; ` +
      `for auto_quantize ${exampleBounds(["formats"]).join(" or ")}`,
  }),

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
    help: "take the best subnet of this search, or with --config another one, with its data and settings",
  }),
  row({
    flag: "--output <file>",
    commands: ["export"],
    key: "output",
    kind: file,
    help: "the file for the subnet",
  }),
  row({
    flag: "--reconstruct",
    commands: ["export"],
    key: "reconstruct",
    kind: flag,
    default: false,
    help: "fit the layers' weights to the channels that are left, by the data",
  }),
  row({
    flag: "--to <format>",
    commands: ["export"],
    key: "to",
    kind: choice([...FILE_FORMATS, "recipe"] as const),
    default: null,
    defaultText: "pt2 where the name ends with .pt2",
    help: "the file's format: TorchScript, an exported program, or a recipe for the model's Python source",
  }),
] as const;

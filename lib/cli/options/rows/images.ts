/** Options that say how images of a folder are prepared. */

import { INTERPOLATIONS } from "../../../data/image-decode";
import { IMAGE_DEFAULTS } from "../../../data/image-preprocess";
import { DATA_COMMANDS } from "../commands";
import { choice, colors, flag, namesInFile, positive } from "../kinds";
import { row } from "../row";

export const IMAGES_OPTIONS = [
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
    flag: "--image-gray",
    commands: DATA_COMMANDS,
    key: "images.gray",
    kind: flag,
    default: null,
    help: "make images grey, with one channel, for models that take such; mean 0 and std 1 unless given",
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
] as const;

/** Options that say how images of a folder are prepared. */
import { readFileSync } from "node:fs";

import { type Command, Option } from "commander";

import { INTERPOLATIONS, type Interpolation } from "../data/image-decode";
import { badOption, colors, positiveNumber } from "./options";
import type { ImageRequest } from "./search-request";

/** What commander makes of {@link addImageOptions}. */
export interface ImageOptions {
  imageResize?: number;
  imageCrop?: number;
  imageInterpolation?: Interpolation;
  imageMean?: number[];
  imageStd?: number[];
  imageClasses?: string;
}

/** Adds the options. */
export function addImageOptions(command: Command): Command {
  return command
    .option(
      "--image-crop <pixels>",
      "side of the square cut out of the middle (default: 224)",
      positiveNumber,
    )
    .option(
      "--image-resize <pixels>",
      "shorter side before that (default: 256, or the crop's where that is larger)",
      positiveNumber,
    )
    .addOption(
      new Option("--image-interpolation <name>", "of resizing (default: bilinear)").choices(INTERPOLATIONS),
    )
    .option("--image-mean <r,g,b>", "subtracted from values of 0 to 1 (default: 0.485,0.456,0.406)", colors)
    .option("--image-std <r,g,b>", "divided by after that (default: 0.229,0.224,0.225)", colors)
    .option(
      "--image-classes <file>",
      "subfolders by label, one a line (default: those that are there, sorted)",
    );
}

/** The part of a request that the options say; undefined when they say nothing. @throws `ERR_CLI_OPTION` */
export function imageRequest(options: ImageOptions): ImageRequest | undefined {
  const given = {
    resize: options.imageResize,
    crop: options.imageCrop,
    interpolation: options.imageInterpolation,
    mean: options.imageMean,
    std: options.imageStd,
    classes: options.imageClasses === undefined ? undefined : readLines(options.imageClasses),
  };
  const entries = Object.entries(given).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8")
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== "");
  } catch (error) {
    throw badOption(`${file} can't be read: ${(error as Error).message}`);
  }
}

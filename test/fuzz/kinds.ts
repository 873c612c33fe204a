/** The kinds of files that the fuzzer makes, each from a seed. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import { root } from "../support/zoo";
import { Dice } from "./dice";
import { mutatedNpy, mutatedNpz, mutatedSafetensors } from "./mutations/arrays";
import { mutatedCheckpoint } from "./mutations/checkpoint";
import { mutatedExported } from "./mutations/exported";
import { mutatedImage, STRANGE_IMAGES } from "./mutations/image";
import { mutatedJson } from "./mutations/json";
import { mutatedModel, withHistory } from "./mutations/model";

export const fixtures = path.join(root, "test", "fixtures");

/** Sound files that the library itself writes; mutations begin with them. Made once for a run (`makeBases`). */
export const BASES = [
  "search.safetensors",
  "training.safetensors",
  "latency.json",
  "config.json",
  "history.pt",
] as const;

/** Models, and the shapes of their inputs. */
export const MODELS: Readonly<Record<string, string>> = {
  "hard/simple_cnn.scripted.pt": "2x3x8x8",
  "hard/quantized.scripted.pt": "2x8",
  "hard/lstm.scripted.pt": "2x3x16",
  "hard/encoder_layer.traced.pt": "2x6x16",
  "sparsity.pt": "12x8x7x5",
};

export interface Sample {
  /** Its end says what kind of file it is, as far as the reader asks for that. */
  name: string;
  bytes: Buffer;
  /** What was done to it. */
  what: string;
  /** Of a model: the shapes of its inputs. */
  shapes?: string;
}

export interface Kind {
  /** Files of it in continuous integration. */
  count: number;
  make(seed: number, bases: string): Sample;
}

const data = (extension: string, mutate: (dice: Dice) => Buffer): Kind => ({
  count: 200,
  make: (seed) => ({ name: `file.${extension}`, bytes: mutate(new Dice(seed)), what: "mutated" }),
});

/** Mutations of a file that the library wrote. */
const written = (base: (typeof BASES)[number], mutate: (bytes: Buffer, dice: Dice) => Buffer): Kind => ({
  count: 200,
  make: (seed, bases) => ({
    name: `file${path.extname(base)}`,
    bytes: mutate(readFileSync(path.join(bases, base)), new Dice(seed)),
    what: `mutated ${base}`,
  }),
});

const SETTINGS = Buffer.from(
  JSON.stringify({
    constraints: { flops: "60%" },
    searcher: "random",
    batchSize: 64,
    channelDivisor: 2,
    include: ["conv*"],
    images: { resize: 48, crop: 48, mean: [0.5, 0.5, 0.5] },
    seed: 3,
    output: "subnet.pt",
  }),
);

const imageFolder = path.join(fixtures, "images", "kinds");
const images = readdirSync(imageFolder).filter((name) => !name.endsWith(".npz"));

export const KINDS: Readonly<Record<string, Kind>> = {
  model: {
    count: 500,
    make(seed) {
      const dice = new Dice(seed);
      const model = dice.pick(Object.keys(MODELS));
      const { bytes, mutation } = mutatedModel(readFileSync(path.join(fixtures, model)), dice);
      return { name: "file.pt", bytes, what: `${mutation} of ${model}`, shapes: MODELS[model] as string };
    },
  },
  exported: {
    count: 60,
    make(seed) {
      const { bytes, mutation } = mutatedExported(
        readFileSync(path.join(fixtures, "exported", "tiny.pt2")),
        new Dice(seed),
      );
      return { name: "file.pt2", bytes, what: `${mutation} of tiny.pt2` };
    },
  },
  // Of these each is exported once more, which takes its time.
  history: {
    ...written("history.pt", (bytes, dice) => withHistory(bytes, (text) => mutatedJson(text, dice))),
    count: 60,
  },
  npy: data("npy", mutatedNpy),
  npz: data("npz", mutatedNpz),
  safetensors: data("safetensors", mutatedSafetensors),
  checkpoint: written("search.safetensors", mutatedCheckpoint),
  training: written("training.safetensors", mutatedCheckpoint),
  latency: written("latency.json", mutatedJson),
  settings: data("json", (dice) => mutatedJson(SETTINGS, dice)),
  config: written("config.json", mutatedJson),
  image: {
    count: 200,
    make(seed) {
      const dice = new Dice(seed);
      if (dice.below(4) === 0) {
        const [name, make] = dice.pick(STRANGE_IMAGES);
        return { name, bytes: make(), what: "strange" };
      }
      const name = dice.pick(images);
      return {
        name,
        bytes: mutatedImage(readFileSync(path.join(imageFolder, name)), dice),
        what: `mutated ${name}`,
      };
    },
  },
};

// The models: those of the FLOPs oracle, smallest first, so that a run shows many results early.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";

import { root } from "../lib/run.mjs";

export const FORMS = ["scripted", "traced"];

// The first match names the family; other models are named by the letters that their name begins with.
const FAMILIES = [
  [/^(resnext|wide_resnet)/, "resnet"],
  [/^(deeplabv3|fcn|lraspp)/, "segmentation"],
  [/^(ssd|retinanet|fcos)/, "detection"],
  [/^(swin)/, "swin"],
  [/^(inception|googlenet)/, "inception"],
];

function familyOf(name) {
  const bare = name.replace(/^timm\//, "");
  const found = FAMILIES.find(([pattern]) => pattern.test(bare));
  return found ? found[1] : /^[a-z]+/.exec(bare)[0];
}

/** Changes when the models are made in another way. */
export function fixturesVersion() {
  const hash = createHash("sha256");
  for (const name of ["architectures.py", "zoo.py"])
    hash.update(readFileSync(path.join(root, "scripts", "fixtures", name)));
  return hash.digest("hex").slice(0, 12);
}

/** Detectors take a list of images of any size, which only scripts can. */
export function formsOf(kind) {
  return kind === "detection" ? ["scripted"] : FORMS;
}

/** @returns {{ name: string, kind: string, family: string, input: number[], params: number, flops: number }[]} */
export function listModels() {
  const oracle = JSON.parse(readFileSync(path.join(root, "test", "oracle", "flops.json"), "utf8"));
  return Object.entries(oracle.models)
    .map(([name, { kind, input, params, flops }]) => ({
      name,
      kind,
      family: familyOf(name),
      input,
      params,
      flops,
    }))
    .sort((a, b) => a.flops * a.params - b.flops * b.params);
}

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

/** The models of the other packages, by scripts/fixtures/zoo_more.json. */
function moreModels() {
  return JSON.parse(readFileSync(path.join(root, "scripts", "fixtures", "zoo_more.json"), "utf8"));
}

/** The kinds of models that zoo_more.py makes. */
export const MORE_KINDS = ["transformers", "timm-more", "smp", "monai", "ultralytics"];

/** Changes when the models of a kind are made in another way. */
export function fixturesVersion(kind) {
  const hash = createHash("sha256");
  const more = MORE_KINDS.includes(kind);
  for (const name of more ? ["zoo_more.py"] : ["architectures.py", "zoo.py"])
    hash.update(readFileSync(path.join(root, "scripts", "fixtures", name)));
  return hash.digest("hex").slice(0, 12);
}

/** Detectors take a list of images of any size, which only scripts can. */
export function formsOf(kind) {
  return kind === "detection" ? ["scripted"] : FORMS;
}

/**
 * What PyTorch counts of a model of another package (params, flops) is only known when it is made.
 *
 * @returns {{ name: string, kind: string, family: string, input: number[], params?: number, flops?: number }[]}
 */
export function listModels() {
  const oracle = JSON.parse(readFileSync(path.join(root, "test", "oracle", "flops.json"), "utf8"));
  const more = Object.entries(moreModels()).map(([name, { kind, inputs }]) => ({
    name,
    kind,
    family: kind,
    input: inputs.map((input) => input.replace(/<.*/, "")),
  }));
  const counted = Object.entries(oracle.models)
    .map(([name, { kind, input, params, flops }]) => ({
      name,
      kind,
      family: familyOf(name),
      input,
      params,
      flops,
    }))
    .sort((a, b) => a.flops * a.params - b.flops * b.params);
  return [...counted, ...more];
}

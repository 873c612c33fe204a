// The models: those of the FLOPs oracle, smallest first, so that a run shows many results early.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";

import { root } from "../lib/run.mjs";

/** How a model is saved: as TorchScript, in two ways, or as an exported program. */
export const FORMS = ["scripted", "traced", "pt2"];

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

/** The kinds of models that are also exported. */
export const EXPORTED_KINDS = ["classification", "timm", "segmentation", "transformers"];

/** Of these kinds of models, PyTorch also decomposes the exported subnets and converts them to ONNX. */
export const CONVERTED = [
  ...[
    "resnet18",
    "mobilenet_v3_small",
    "densenet121",
    "shufflenet_v2_x1_0",
    "swin_t",
    "vit_b_16",
    "convnext_tiny",
  ],
  ...["lraspp_mobilenet_v3_large", "timm/vit_tiny_patch16_224", "timm/levit_128s", "timm/nfnet_f0"],
  ...["timm/xcit_nano_12_p16_224", "timm/maxvit_rmlp_pico_rw_256", "timm/res2net50_26w_4s"],
  ...["transformers/bert", "transformers/gpt2"],
];

/** Changes when the models of a kind are made in another way. */
export function fixturesVersion(kind) {
  const hash = createHash("sha256");
  const more = MORE_KINDS.includes(kind);
  for (const name of more ? ["zoo_more.py"] : ["architectures.py", "zoo.py"])
    hash.update(readFileSync(path.join(root, "scripts", "fixtures", name)));
  return hash.digest("hex").slice(0, 12);
}

/** Detectors take a list of images of any size, which only scripts can. Exported are only some kinds. */
export function formsOf(kind) {
  if (kind === "detection") return ["scripted"];
  return FORMS.filter((form) => form !== "pt2" || EXPORTED_KINDS.includes(kind));
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

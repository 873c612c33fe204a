/** Residual blocks that are left out; what is expected is computed by PyTorch, module by module. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type ConvertConfig,
  convert,
  Module,
  profile,
  type SearchSpace,
  type SubnetConfig,
  Tensor,
} from "../../lib";
import { python, runPython } from "../data/python";
import { expectCode, numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

const fixture = (name: string) => path.join(root, "test", "fixtures", name);
const BATCH = 8;
const values = Array.from({ length: BATCH * 64 }, (_, i) => Math.abs(Math.sin(i * 0.7)));
const images = () => Tensor.from(new Float32Array(values), [BATCH, 1, 8, 8]);
const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

/** Runs a fixture in PyTorch, submodule by submodule, without the blocks in `out`: what each model's forward does. */
const FORWARDS: Record<string, string> = {
  digits_resnet: `
x = torch.relu(m.bn1(m.conv1(x)))
for stage in ("layer1", "layer2", "layer3"):
    for i, block in getattr(m, stage).named_children():
        x = torch.relu(x) if f"{stage}.{i}" in out else block(x)
x = m.fc(x.mean([2, 3]))`,
  digits_cnn: `
for i, part in m.features.named_children():
    if f"features.{i}" not in out: x = part(x)
x = m.classifier(x.mean([2, 3]))`,
  digits_vit: `
x = m.patch_embed(x).flatten(2).transpose(1, 2)
x = torch.cat([m.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + m.pos_embed
for i, block in m.blocks.named_children():
    if f"blocks.{i}.attn" not in out: x = x + block.attn(block.norm1(x))
    if f"blocks.{i}.mlp" not in out: x = x + block.mlp(block.norm2(x))
x = m.head(m.norm(x)[:, 0])`,
};

/** Blocks whose input and output agree, by the models' constructors in scripts/fixtures/models. */
const BLOCKS: Record<string, string[]> = {
  digits_resnet: ["layer1.0", "layer1.1", "layer2.1", "layer3.1"],
  digits_cnn: ["features.2", "features.4"],
  digits_vit: [0, 1, 2, 3].flatMap((i) => [`blocks.${i}.attn`, `blocks.${i}.mlp`]),
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-depth-"));
  writeFileSync(path.join(folder, "images.json"), JSON.stringify(values));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Expected {
  logits: number[];
  keys: string[];
  params: number;
}

/** Of a fixture without the blocks: its outputs, and the names and parameters that are left. */
function expected(name: string, out: readonly string[]): Expected {
  return runPython<Expected>(
    `import sys, json, torch
torch.set_num_threads(1)
m = torch.jit.load(sys.argv[1]).eval(); out = json.loads(sys.argv[3])
x = torch.tensor(json.load(open(sys.argv[2]))).reshape(-1, 1, 8, 8)
with torch.no_grad():${FORWARDS[name]!.replaceAll("\n", "\n    ")}
norms = {"attn": "norm1", "mlp": "norm2"}
gone = [b + "." for b in out]
gone += [b[: -len(k)] + v + "." for b in out for k, v in norms.items() if b.endswith("." + k)]
left = {k: v for k, v in m.state_dict().items() if not any(k.startswith(g) for g in gone)}
weights = dict(m.named_parameters())
print(json.dumps({"logits": x.flatten().tolist(), "keys": sorted(left),
                  "params": sum(v.numel() for k, v in left.items() if k in weights)}))`,
    fixture(`${name}.pt`),
    path.join(folder, "images.json"),
    JSON.stringify(out),
  );
}

async function spaceOf(name: string, config: ConvertConfig = {}) {
  const module = await Module.load(fixture(`${name}.pt`));
  return { module, space: await convert(module, "fastnas", dummyInput(), config) };
}

const depths = (space: SearchSpace) => space.hyperparameters.filter(({ kind }) => kind === "depth");

function without(space: SearchSpace, out: readonly string[]): SubnetConfig {
  return { ...space.fullConfig, ...Object.fromEntries(out.map((block) => [`${block}.depth`, 0])) };
}

function farthest(a: readonly (number | boolean)[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, i) => Math.abs(Number(value) - (b[i] as number))));
}

describe.each(Object.keys(BLOCKS))("the blocks of %s", { timeout: 240_000 }, (name) => {
  const blocks = BLOCKS[name] as string[];
  const selections: [string, string[]][] = [
    ["one", blocks.slice(-1)],
    ["every other one", blocks.filter((_, i) => i % 2 === 0)],
    ["all", blocks],
  ];

  it("are hyperparameters of two choices, unless the config says no", async () => {
    const { module, space } = await spaceOf(name);
    expect(depths(space).map((hyperparameter) => ({ ...hyperparameter }))).toEqual(
      blocks.map((block) => ({
        name: `${block}.depth`,
        kind: "depth",
        choices: [0, 1],
        full: 1,
        channels: 1,
        tied: [],
        fixed: null,
        active: 1,
        begins: expect.any(Number),
      })),
    );
    for (const { name: depth } of depths(space)) expect(space.smallestConfig[depth]).toBe(0);
    await expectCode("ERR_CHOICE", () => space.select({ [`${blocks[0]}.depth`]: 2 }));
    const flat = await convert(module, "fastnas", dummyInput(), { depth: false });
    expect(depths(flat)).toEqual([]);
    expect(await flat.fingerprint()).not.toBe(await space.fingerprint());
    await expectCode("ERR_CONFIG_VALUE", () =>
      convert(module, "fastnas", dummyInput(), { depth: 1 as unknown as boolean }),
    );
    module.close();
  });

  it.each(selections)("left out (%s), give what PyTorch computes without them", async (label, out) => {
    const { module, space } = await spaceOf(name);
    const { logits, keys, params } = expected(name, out);
    space.select(without(space, out));
    expect(farthest(numbersOf((await space.forward(images())) as Tensor), logits)).toBeLessThan(1e-4);
    expect(space.cost(space.active, "params")).toBe(params);

    const subnet = await space.export();
    expect(farthest(numbersOf((await subnet.forward(images())) as Tensor), logits)).toBeLessThan(1e-4);
    const names = [...subnet.namedParameters(), ...subnet.namedBuffers()].map((tensor) => tensor.name);
    expect(names.sort()).toEqual(keys);
    const found = await profile(subnet, dummyInput(), { metrics: ["flops"] });
    for (const metric of ["params", "macs", "flops", "size"] as const) {
      expect(space.cost(space.active, metric)).toBe(found[metric]);
    }

    const saved = path.join(folder, `${name}-${label.replaceAll(" ", "-")}.pt`);
    await subnet.save(saved);
    const inputs = path.join(folder, "verify.npz");
    runPython(
      `import sys, json, numpy as np
np.savez(sys.argv[1], input0=np.array(json.load(open(sys.argv[2])), dtype=np.float32).reshape(-1, 1, 8, 8),
         output0=np.array(json.loads(sys.argv[3]), dtype=np.float32).reshape(-1, 10))
print("null")`,
      inputs,
      path.join(folder, "images.json"),
      JSON.stringify(logits),
    );
    const answer = JSON.parse(
      execFileSync(
        python,
        [
          path.join(root, "scripts", "python", "verify_subnet.py"),
          ...["--model", saved, "--inputs", inputs, "--expected", inputs, "--tolerance", "1e-4"],
          ...["--original", fixture(`${name}.pt`), "--train-step", "--threads", "1"],
        ],
        { encoding: "utf8" },
      ),
    ) as Record<string, number | string[]>;
    expect(answer).toMatchObject({ ok: true, error: null, keysUnexpected: [], gradsFinite: true, params });
    expect(answer.lossAfter).toBeLessThan(answer.lossBefore as number);
    expect(space.cost(space.fullConfig, "params")).toBe(expected(name, []).params);
    module.close();
  });

  it("left out, leave the input and the full model as they were", async () => {
    const { module, space } = await spaceOf(name);
    const input = images();
    const before = numbersOf((await module.forward(input)) as Tensor) as number[];
    space.select(without(space, blocks));
    await space.forward(input);
    await space.export();
    expect(numbersOf(input)).toEqual([...new Float32Array(values)]);
    space.select(space.fullConfig);
    expect(farthest(numbersOf((await space.forward(input)) as Tensor), before)).toBeLessThan(1e-5);
    expect(farthest(numbersOf((await module.forward(input)) as Tensor), before)).toBeLessThan(1e-6);
    module.close();
  });
});

it.each(["mha_no_weights", "encoder_layer", "mlp_mixer"])(
  "the guards of %s go with the tensors that they look at",
  async (name) => {
    const cases = JSON.parse(readFileSync(fixture(path.join("hard", "index.json")), "utf8")).cases as Record<
      string,
      { files: Record<string, string>; inputs: { shape: number[]; data: number[] }[] }
    >;
    const { files, inputs } = cases[name]!;
    const tensors = () => inputs.map(({ shape, data }) => Tensor.from(data, shape, { dtype: "float32" }));
    for (const file of Object.values(files)) {
      const module = await Module.load(fixture(path.join("hard", file)));
      const space = await convert(module, "fastnas", tensors(), { channelDivisor: 1 });
      expect(depths(space).length).toBeGreaterThan(0);
      space.select(Object.fromEntries(depths(space).map(({ name: depth }) => [depth, 0])));
      const subnet = await space.export(); // compared with the selected subnet before it is given out
      const { params, macs, flops, size, memory } = await profile(subnet, tensors(), { metrics: ["flops"] });
      expect(space.costs({})).toEqual({ params, macs, flops, size, memory });
      expect(params).toBeLessThan(space.cost(space.fullConfig, "params"));
      module.close();
    }
  },
);

it("batch norms of blocks that are left out stay as they are when a subnet is recalibrated", async () => {
  const { module, space } = await spaceOf("digits_resnet");
  space.select(without(space, ["layer1.1"]));
  const plain = numbersOf((await space.forward(images())) as Tensor) as number[];
  await space.recalibrate([[images()]]);
  expect(farthest(numbersOf((await space.forward(images())) as Tensor), plain)).toBeGreaterThan(1e-3);
  const facts = JSON.parse(readFileSync(fixture("digits_resnet.json"), "utf8")) as { params: number };
  expect(space.cost(space.fullConfig, "params")).toBe(facts.params);
  space.select(space.fullConfig);
  const { logits } = expected("digits_resnet", []);
  expect(farthest(numbersOf((await space.forward(images())) as Tensor), logits)).toBeLessThan(1e-4);
  module.close();
});

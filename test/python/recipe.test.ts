/** Recipes, applied by Python to the models' sources and compared with the exported subnets. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, type SearchSpace, Tensor } from "../../lib/index";
import { python } from "../support/zoo";

const script = path.join(__dirname, "recipe_check.py");

interface Applied {
  error?: string;
  untouched: boolean;
  params: number;
  exportedParams: number;
  difference: number;
  otherTensors: string[];
  loss: number;
}

function runPython(tasks: readonly unknown[][]): Applied[] {
  const given = tasks.map((task) => JSON.stringify(task));
  const env = { ...process.env, OMP_NUM_THREADS: "1" };
  return JSON.parse(
    execFileSync(python, [script, ...given], { env, stdio: ["ignore", "pipe", "inherit"] }).toString(),
  );
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "torchsearch-recipe-"));
});
const modules: Module[] = [];
afterAll(async () => {
  for (const module of modules) module.close();
  await rm(folder, { recursive: true, force: true });
});

function floats(...shape: number[]): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return Tensor.from(
    Float32Array.from({ length: count }, (_, i) => Math.sin(1.7 * i)),
    shape,
  );
}

function integers(value: (i: number) => number, ...shape: number[]): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return Tensor.from(
    BigInt64Array.from({ length: count }, (_, i) => BigInt(value(i))),
    shape,
  );
}

const INPUTS: Record<string, () => Tensor[]> = {
  net: () => [floats(2, 3, 16, 16)],
  vit: () => [floats(2, 3, 16, 16)],
  bert: () => [integers((i) => (5 * i) % 50, 2, 9), integers(() => 1, 2, 9)],
  encoder: () => [floats(2, 9, 32)],
  tagger: () => [floats(2, 9, 8)],
  written_in: () => [floats(2, 9, 32)],
};

type Blocks = "half" | "none";

const fileOf = (name: string, form: string): string =>
  path.join(folder, `${name}.${form}.${form === "pt2" ? "pt2" : "pt"}`);

async function spaceOf(name: string, form: string): Promise<SearchSpace> {
  const module = await Module.load(fileOf(name, form));
  modules.push(module);
  return convert(module, "fastnas", (INPUTS[name] as () => Tensor[])(), { channelDivisor: 1 });
}

/** About half of every width; every other block, or none. */
function selectHalf(space: SearchSpace, blocks: Blocks): void {
  let block = 0;
  space.select(
    Object.fromEntries(
      space.hyperparameters.map(({ name, kind, choices }) => [
        name,
        kind === "depth"
          ? Number(blocks === "half" && block++ % 2 === 1)
          : (choices[Math.floor((choices.length - 1) / 2)] as number),
      ]),
    ),
  );
}

/** The recipe and the exported file of the selected subnet. */
async function written(space: SearchSpace, stem: string): Promise<[string, string]> {
  const [recipe, exported] = [path.join(folder, `${stem}.json`), path.join(folder, `${stem}.subnet.pt`)];
  await space.saveRecipe(recipe);
  const subnet = await space.export();
  await subnet.save(exported);
  subnet.close();
  return [recipe, exported];
}

const CASES: [string, string, Blocks][] = [
  ["net", "traced", "half"],
  ["net", "pt2", "none"],
  ["vit", "scripted", "half"],
  ["bert", "wrapped", "half"],
  ["bert", "pt2", "none"],
  ["encoder", "traced", "none"],
  ["encoder", "pt2", "half"],
  ["tagger", "traced", "half"],
];

describe("a recipe", () => {
  beforeAll(() => {
    const files = new Set([...CASES.map(([name, form]) => `${name} ${form}`), "written_in scripted"]);
    runPython(
      Array.from(files, (file) => {
        const [name, form] = file.split(" ") as [string, string];
        return ["write", name, form, fileOf(name, form)];
      }),
    );
  });

  it("makes the exported subnet of the model's source", async () => {
    const tasks: unknown[][] = [];
    for (const [name, form, blocks] of CASES) {
      const space = await spaceOf(name, form);
      selectHalf(space, blocks);
      tasks.push(["apply", name, form, ...(await written(space, `${name}-${form}-${blocks}`))]);
    }
    const results = runPython(tasks);
    CASES.forEach(([name, form, blocks], at) => {
      const { error, params, exportedParams, ...rest } = results[at] as Applied;
      const label = `${name} ${form} ${blocks}`;
      expect({ label, error }).toEqual({ label, error: undefined });
      expect({ label, params }).toEqual({ label, params: exportedParams });
      expect({ label, ...rest }).toMatchObject({ label, untouched: true, otherTensors: [] });
      expect(rest.difference, label).toBeLessThan(1e-5);
      expect(rest.loss, label).toBeGreaterThan(0);
    });
  });

  it("names the line that it can't follow, another model, and weights that it lacks", async () => {
    const writtenIn = await spaceOf("written_in", "scripted");
    selectHalf(writtenIn, "half");
    const first = await written(writtenIn, "written-in");
    const net = await spaceOf("net", "traced");
    selectHalf(net, "half");
    const plain = await written(net, "plain");
    const batches = [[floats(4, 3, 16, 16)]];
    await net.recalibrate(batches);
    const recalibrated = await written(net, "recalibrated");
    const vit = await spaceOf("vit", "scripted");
    selectHalf(vit, "half");
    await vit.reconstruct(batches);
    const reconstructed = await written(vit, "reconstructed");
    const foreign = path.join(folder, "foreign.json");
    await writeFile(foreign, '{"format": "something", "version": 1}');
    const results = runPython([
      ["apply", "written_in", "scripted", ...first],
      ["apply", "bert", "traced", ...plain],
      ["apply", "net", "traced", ...plain, true],
      ["apply", "net", "traced", ...recalibrated],
      ["apply", "vit", "scripted", ...reconstructed],
      ["apply", "vit", "scripted", ...reconstructed, true, true],
      ["apply", "net", "traced", foreign, plain[1]],
    ]);
    const errors = results.map(({ error }) => error);
    expect(errors[0]).toMatch(/recipe_check\.py:\d+ \(`q, k, v = self\.qkv\(x\)\.reshape/);
    expect(errors[0]).toContain("aten::reshape has 4, the subnet 2");
    expect(errors[1]).toContain("It isn't the recipe's model: it has no 'stem.weight'");
    expect(errors[2]).toContain("differs from the subnet by");
    expect(errors[3]).toBeUndefined();
    expect(results[3]).toMatchObject({ otherTensors: [] });
    expect(results[3]?.difference).toBeLessThan(1e-5);
    // Its reconstructed weights are small enough to be in the recipe; it must not matter that they are given, too.
    expect(errors[4]).toBeUndefined();
    expect(results[5]).toMatchObject({ otherTensors: [] });
    expect(errors[6]).toContain("no torchsearch recipe");
  });

  it("holds what a reader needs, and refuses numbers of the user's own", async () => {
    const space = await spaceOf("net", "traced");
    const file = path.join(folder, "whole.json");
    await space.saveRecipe(file);
    const recipe = JSON.parse(readFileSync(file, "utf8"));
    expect(recipe).toMatchObject({ format: "torchsearch recipe", version: 1, blocks: [], numbers: [] });
    expect(recipe.subnet).toEqual(space.active);
    // Every channel is kept, in the order of the space.
    const numbered = (list: number[]): number[] => list.map((_, at) => at);
    for (const list of recipe.indices)
      expect(list.toSorted((a: number, b: number) => a - b)).toEqual(numbered(list));
    expect(recipe.tensors.some((tensor: object) => "keep" in tensor)).toBe(true);
    expect(recipe.tensors.some((tensor: object) => "leftOut" in tensor)).toBe(false);
    await expect(space.saveRecipe(path.join(file, "below.json"))).rejects.toMatchObject({
      code: "ERR_FILE_WRITE",
    });
    await expect(space.saveRecipe(7 as never)).rejects.toMatchObject({ code: "ERR_INPUT" });
    const constant = space.constants().find(({ name }) => name.includes("group_norm.eps"))?.name as string;
    await space.addHyperparameter("eps", { constant, values: [0.1], active: 0.1 });
    await expect(space.saveRecipe(file)).rejects.toMatchObject({ code: "ERR_RECIPE" });
  });
});

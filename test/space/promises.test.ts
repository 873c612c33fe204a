/**
 * What a space promises of a subnet holds for the file that it exports: costs by a fresh profile; outputs, gradients, dtypes
 * and state dicts by PyTorch (scripts/fixtures/promises.py, which makes the models and judges).
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  convert,
  Module,
  profile,
  type SearchSpace,
  type SubnetConfig,
  type Tensor,
  TensorDataLoader,
} from "../../lib";
import { python } from "../data/python";
import { root } from "../support/zoo";

const script = path.join(root, "scripts", "fixtures", "promises.py");

/** Recurrent widths that must be there, by case: names of parameters and what is left of them at the smallest config. */
const NARROWED: Record<string, string[]> = {
  StackedBidirectionalLstm: ["rnn.weight_ih_l0", "rnn.weight_hh_l1_reverse", "leave.weight"],
  GruThenLstm: ["first.weight_hh_l0", "second.weight_ih_l0", "second.weight_hh_l0"],
  RnnWithoutBias: ["rnn.weight_hh_l0", "rnn.weight_ih_l1"],
  ProjectedLstm: ["rnn.weight_hr_l0", "rnn.weight_hr_l1", "leave.weight"],
  BothWaysProjectedLstm: ["rnn.weight_hh_l0", "rnn.weight_hr_l0", "rnn.weight_hh_l1_reverse"],
  RecurrentBlock: ["rnn.weight_hh_l0"],
  AskedByLikes: ["enter.weight", "leave.weight"],
  FeaturesOfItsOwn: ["enter.weight"],
  CellByHand: ["cell.weight_ih", "cell.weight_hh", "leave.weight"],
  HeldInContainers: ["body.a", "body.b", "body.c", "body.d"],
  OldWeightNorm: ["middle.weight_v", "leave.weight_v"],
  ParametrizedWeightNorm: ["middle.parametrizations.weight.original1"],
};
/** Blocks that can be left out. */
const BLOCKS: Record<string, number> = {
  AskedForTypeAndSize: 1,
  AskedForTypeByTensor: 1,
  RecurrentBlock: 1,
  FeaturesInAList: 1,
  FeaturesAppended: 1,
  BranchBySetting: 2,
  BranchByInput: 2,
};

/** What exports are without, in a sentence each. */
const LOSSES: Record<string, RegExp[]> = {
  FeaturesAppended: [/'features'.*'a\.weight'/],
  FeaturesOfItsOwn: [/'forward_features'.*'enter\.weight'/],
};

let work: string;
let names: string[];
const broken = new Map<string, string[]>();

function configsOf(space: SearchSpace): SubnetConfig[] {
  const all = space.hyperparameters;
  const mixed = all.map((h, i) => [h.name, h.choices[(i * 7 + 1) % h.choices.length]]);
  const leftOut = all
    .filter(({ kind }) => kind === "depth")
    .map(({ name }) => ({ ...space.fullConfig, [name]: 0 }));
  return [space.fullConfig, space.smallestConfig, Object.fromEntries(mixed) as SubnetConfig, ...leftOut];
}

async function costsThatDiffer(space: SearchSpace, subnet: Module, input: Tensor): Promise<string[]> {
  const fresh = await profile(subnet, input, { metrics: ["params", "flops", "size", "memory"] });
  const promised = space.costs(space.active);
  return (["params", "flops", "size", "memory"] as const)
    .filter((metric) => promised[metric] !== fresh[metric])
    .map((metric) => `${metric}: promised ${promised[metric]}, found ${fresh[metric]}`);
}

async function tryOut(name: string): Promise<Record<string, unknown>[]> {
  const found: string[] = [];
  broken.set(name, found);
  const original = path.join(work, `${name}.pt`);
  const inputs = path.join(work, `${name}.npz`);
  const [batch] = await TensorDataLoader.fromNpz(inputs, { keys: ["input0"], batchSize: 1e6 });
  const input = (batch as Record<string, Tensor>).input0 as Tensor;
  const module = await Module.load(original);
  const space = await convert(module, "fastnas", input, { channelDivisor: 1, importance: "none" });
  const said = space.exportLosses.filter((text, i) => !LOSSES[name]?.[i]?.test(text));
  if (said.length > 0 || space.exportLosses.length !== (LOSSES[name]?.length ?? 0))
    found.push(`losses: ${space.exportLosses.join("; ")}`);
  const requests: Record<string, unknown>[] = [];
  for (const [i, config] of configsOf(space).entries()) {
    space.select(config);
    const outputs = Array.from(((await space.forward(input)) as Tensor).data() as Float32Array);
    const subnet = await space.export();
    found.push(...(await costsThatDiffer(space, subnet, input)).map((text) => `${i}: ${text}`));
    if (i === 1) {
      const sizes = (of: Module) =>
        new Map(of.namedParameters().map(({ name, tensor }) => [name, tensor.shape.join("x")]));
      const [before, after] = [sizes(module), sizes(subnet)];
      const whole = (NARROWED[name] ?? []).filter(
        (parameter) => before.get(parameter) === after.get(parameter),
      );
      if (whole.length > 0) found.push(`left whole: ${whole.join(", ")}`);
    }
    const saved = path.join(work, `${name}.${i}.pt`);
    await subnet.save(saved);
    const leftOut = space.hyperparameters
      .filter(({ kind, name }) => kind === "depth" && space.active[name] === 0)
      .map(({ name }) => name.replace(/\.depth$/, ""));
    requests.push({
      leftOut,
      id: `${name} ${i}`,
      case: name,
      model: saved,
      original,
      input: inputs,
      outputs,
    });
    subnet.close();
  }
  const blocks = space.hyperparameters.filter(({ kind }) => kind === "depth").length;
  if (blocks !== (BLOCKS[name] ?? 0)) found.push(`${blocks} blocks`);
  space.close();
  module.close();
  return requests;
}

beforeAll(async () => {
  work = mkdtempSync(path.join(os.tmpdir(), "torchsearch-promises-"));
  execFileSync(python, [script, work]);
  names = Object.keys(JSON.parse(readFileSync(path.join(work, "index.json"), "utf8")));
  const requests: Record<string, unknown>[] = [];
  for (const name of names) {
    try {
      requests.push(...(await tryOut(name)));
    } catch (error) {
      broken.get(name)?.push(String(error));
    }
  }
  const answers = execFileSync(python, [script, "--judge"], {
    input: requests.map((request) => `${JSON.stringify(request)}\n`).join(""),
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  for (const line of answers.split("\n").filter((text) => text !== "")) {
    const { id, found } = JSON.parse(line) as { id: string; found: string[] };
    broken.get(id.split(" ")[0] as string)?.push(...found.map((text) => `${id}: ${text}`));
  }
}, 600_000);
afterAll(() => rmSync(work, { recursive: true }));

describe("promises", () => {
  it("are asked of every case", () => {
    expect(names.length).toBeGreaterThanOrEqual(13);
    expect(
      Object.keys(NARROWED)
        .concat(Object.keys(BLOCKS))
        .filter((name) => !names.includes(name)),
    ).toEqual([]);
  });
  it.each(Object.keys({ ...NARROWED, ...BLOCKS }))("%s keeps them", (name) => {
    expect((broken.get(name) ?? ["not tried"]).join("\n")).toBe("");
  });
});

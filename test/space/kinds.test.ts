/**
 * The models of test/fixtures/kinds (scripts/fixtures/models/kinds.py), each one spelling of something that a space must not
 * get wrong. PyTorch says what the full model gives on several shapes of inputs, and runs the exported subnets on them.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, type DType, Module, profile, type SearchSpace, type SubnetConfig, Tensor } from "../../lib";
import { tensorToRaw } from "../../lib/data/raw-tensor";
import { encodeSafetensors } from "../../lib/data/safetensors";
import { python } from "../data/python";
import { expectCode } from "../support/tensors";
import { verifySubnets } from "../support/verify-subnets";
import { type Form, root } from "../support/zoo";

interface Described {
  shape: number[];
  dtype: DType;
  data: number[];
}
interface Kind {
  forms: Form[];
  narrowed: string[];
  whole: string[];
  calls: { inputs: Described[]; output: unknown }[];
}

const folder = path.join(root, "test", "fixtures", "kinds");
const { kinds } = JSON.parse(readFileSync(path.join(folder, "index.json"), "utf8")) as {
  kinds: Record<string, Kind>;
};
const files = Object.entries(kinds).flatMap(([name, kind]) =>
  kind.forms.map((form) => ({ kind, file: `${name}.${form}.pt` })),
);

let work: string;
const spaces = new Map<string, { module: Module; space: SearchSpace }>();
let answers: Map<string, { ok: boolean; error: string | null }>;

function tensorOf({ shape, dtype, data }: Described): Tensor {
  return Tensor.from(dtype === "int64" ? data.map(BigInt) : data, shape, { dtype });
}

function tensorsOf(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(tensorsOf);
}

function describedIn(value: unknown): Described[] {
  if (typeof value !== "object" || value === null) return [];
  if ("dtype" in value) return [value as Described];
  return Object.values(value).flatMap(describedIn);
}

/** The smallest subnet, and one with another choice of each hyperparameter. */
function subnetsOf(space: SearchSpace): SubnetConfig[] {
  const mixed = space.hyperparameters.map(
    ({ name, choices }, i) => [name, choices[(i * 7 + 1) % choices.length] as number] as const,
  );
  return [space.smallestConfig, Object.fromEntries(mixed)];
}

beforeAll(async () => {
  work = mkdtempSync(path.join(os.tmpdir(), "torchsearch-kinds-"));
  const requests: Record<string, unknown>[] = [];
  for (const { kind, file } of files) {
    const module = await Module.load(path.join(folder, file));
    const dummy = (kind.calls[0] as Kind["calls"][0]).inputs.map(tensorOf);
    const space = await convert(module, "fastnas", dummy, { channelDivisor: 4 });
    spaces.set(file, { module, space });
    for (const [i, config] of subnetsOf(space).entries()) {
      space.select(config);
      const subnet = await space.export();
      await subnet.save(path.join(work, `${i}.${file}`));
      subnet.close();
      for (const [k, { inputs }] of kind.calls.entries()) {
        const given = inputs.map(tensorOf);
        const named = [
          ...given.map((tensor, at) => [`input${at}`, tensorToRaw(tensor)] as const),
          ...tensorsOf(await space.forward(...given)).map(
            (t, at) => [`output${at}`, tensorToRaw(t)] as const,
          ),
        ];
        const tensors = path.join(work, `${i}.${k}.${file}.safetensors`);
        writeFileSync(tensors, Buffer.concat(encodeSafetensors(new Map(named))));
        const id = `${i}.${k}.${file}`;
        requests.push({
          id,
          model: path.join(work, `${i}.${file}`),
          inputs: tensors,
          expected: tensors,
          tolerance: 1e-5,
        });
      }
    }
  }
  answers = verifySubnets<{ id: string; ok: boolean; error: string | null }>(requests);
}, 600_000);
afterAll(() => {
  for (const { module, space } of spaces.values()) {
    space.close();
    module.close();
  }
  rmSync(work, { recursive: true });
});

describe("kinds of models", () => {
  it.each(files)("$file: what may be narrowed is, and what may not stays whole", ({ kind, file }) => {
    const { space } = spaces.get(file) as { space: SearchSpace };
    const several = space.hyperparameters.filter(({ choices }) => choices.length > 1).map(({ name }) => name);
    expect(several).toEqual(expect.arrayContaining(kind.narrowed));
    const whole = space.unprunable.map(({ parameter, dimension }) => `${parameter}:${dimension}`);
    expect(whole).toEqual(expect.arrayContaining(kind.whole));
  });

  it.each(files)("$file: the full model gives what PyTorch gives, on all shapes", async ({ kind, file }) => {
    const { space } = spaces.get(file) as { space: SearchSpace };
    space.select(space.fullConfig);
    for (const { inputs, output } of kind.calls) {
      const outputs = tensorsOf(await space.forward(...inputs.map(tensorOf)));
      const expected = describedIn(output);
      expect(outputs.map(({ shape }) => [...shape])).toEqual(expected.map(({ shape }) => shape));
      for (const [i, { data }] of expected.entries()) {
        const actual = [...((outputs[i] as Tensor).data() as Float32Array)];
        for (const [at, value] of data.entries()) expect(actual[at]).toBeCloseTo(value, 4);
      }
    }
  });

  it.each(files)(
    "$file: exported subnets run in PyTorch on all shapes, as promised",
    async ({ kind, file }) => {
      const { space } = spaces.get(file) as { space: SearchSpace };
      for (const [i, config] of subnetsOf(space).entries()) {
        for (const k of kind.calls.keys()) {
          expect(answers.get(`${i}.${k}.${file}`)).toMatchObject({ ok: true, error: null });
        }
        const subnet = await Module.load(path.join(work, `${i}.${file}`));
        const dummy = (kind.calls[0] as Kind["calls"][0]).inputs.map(tensorOf);
        const { params, flops } = await profile(subnet, dummy, { metrics: ["params", "flops"] });
        expect(space.costs(config)).toMatchObject({ params, flops });
        subnet.close();
      }
    },
  );
});

describe("a recurrent state that doesn't fit", () => {
  const sizes = [
    { h: [2, 1, 8], c: [2, 1, 8], says: "hidden[0] of size [2, 3, 8], not [2, 1, 8]" },
    { h: [2, 3, 8], c: [2, 1, 8], says: "hidden[1] of size [2, 3, 8], not [2, 1, 8]" },
    { h: [2, 4, 8], c: [2, 4, 8], says: "hidden[0] of size [2, 3, 8], not [2, 4, 8]" },
    { h: [2, 3, 7], c: [2, 3, 7], says: "hidden[0] of size [2, 3, 8], not [2, 3, 7]" },
    { h: [1, 3, 8], c: [1, 3, 8], says: "hidden[0] of size [2, 3, 8], not [1, 3, 8]" },
  ];
  it.each(sizes)("is refused in a trace, which checks nothing itself: $says", async ({ h, c, says }) => {
    const { module, space } = spaces.get("state_given.traced.pt") as { module: Module; space: SearchSpace };
    const zeros = (shape: number[]): Tensor =>
      Tensor.from(new Float32Array(shape.reduce((a, b) => a * b)), shape);
    const inputs = [zeros([5, 3, 6]), zeros(h), zeros(c)];
    for (let call = 0; call < 3; call++) {
      const failed = await expectCode("ERR_FORWARD", () => module.forward(...inputs));
      expect(failed.message).toContain(says);
    }
    await expectCode("ERR_FORWARD", () => space.forward(...inputs));
  });
});

describe("names of an earlier version", () => {
  it.each(["group0", "group2"])("%s: the error says what they are called now", (name) => {
    const { space } = spaces.get("random_features.traced.pt") as { space: SearchSpace };
    expect(() => space.select({ [name]: 4 })).toThrow(/numbered.*mix\.0, mix\.1/);
    expect(() => space.select({ group: 4 })).toThrow(/unknown hyperparameter "group": /);
  });
});

/** What Python prints of the smallest subnet of a scripted kind, `m`. */
function inPython(name: string, statements: string): unknown {
  const file = path.join(work, `0.${name}.scripted.pt`);
  const source = `import json, sys, torch\nm = torch.jit.load(sys.argv[1])\n${statements}`;
  return JSON.parse(execFileSync(python, ["-c", source, file], { encoding: "utf8" }));
}

describe("what a subnet is beside its forward in evaluation mode", () => {
  it("keeps the outputs of training: heads their classes, returned features their channels", () => {
    const shapes = "print(json.dumps([list(x.shape) for x in m.train()(torch.randn(2, 3, 8, 8))]))";
    expect(inPython("aux_in_list", shapes)).toEqual([
      [2, 10],
      [2, 10],
    ]);
    expect(inPython("training_returns", shapes)).toEqual([
      [2, 10],
      [2, 16, 6, 6],
    ]);
    const trained = "print(json.dumps(list(m.train()(torch.randn(2, 3, 8, 8)).shape)))";
    expect(inPython("other_layer", trained)).toEqual([2, 10]);
  });

  it("keeps exported methods that use nothing narrowed but forward, attributes, and names what is lost", () => {
    const { space } = spaces.get("methods.scripted.pt") as { space: SearchSpace };
    expect(space.exportLosses).toEqual([expect.stringMatching(/'embed'.*'a\.weight'/)]);
    const statements = `x = torch.randn(4, 6)
best = [m.classes[int(i)] for i in m(x - torch.arange(6.0)).argmax(1)]
print(json.dumps([m.predict(x) == best, m.classes, m.scale, hasattr(m, "embed")]))`;
    expect(inPython("methods", statements)).toEqual([true, ["x", "y", "z"], 0.5, false]);
  });
});

/** Search spaces of the digits ResNet; what is expected comes from PyTorch. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  type ConvertConfig,
  convert,
  type Mode,
  Module,
  profile,
  Random,
  type SearchSpace,
  type SubnetConfig,
  Tensor,
  TensorDataLoader,
} from "../../lib";
import { python, runPython } from "../data/python";
import { expectCode, numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

const file = path.join(root, "test", "fixtures", "digits_resnet.pt");
const data = path.join(root, "test", "fixtures", "digits.npz");
const facts = JSON.parse(readFileSync(path.join(root, "test", "fixtures", "digits_resnet.json"), "utf8")) as {
  params: number;
  macs: number;
  logitsOfFirst8Test: number[][];
};

let folder: string;
let module: Module;
let space: SearchSpace;
let images: Tensor;
const dummyInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-space-"));
  module = await Module.load(file);
  const loader = await TensorDataLoader.fromNpz(data, { keys: ["test_images"], batchSize: 8 });
  const [first] = [...loader];
  images = (first as Record<string, Tensor>).test_images as Tensor;
  space = await convert(module, "fastnas", dummyInput());
});
afterAll(() => {
  space?.close();
  module?.close();
  rmSync(folder, { recursive: true });
});

function farthest(a: readonly (number | boolean)[], b: readonly (number | boolean)[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, i) => Math.abs(Number(value) - Number(b[i]))));
}

async function logits(model: SearchSpace | Module): Promise<(number | boolean)[]> {
  const output = (await model.forward(images)) as Tensor;
  return numbersOf(output);
}

/** Some subnets: the smallest, the full one, and random ones. */
function subnets(): SubnetConfig[] {
  const rng = new Random(3);
  return [space.smallestConfig, space.fullConfig, space.sample(rng), space.sample(rng)];
}

/** Has PyTorch judge saved subnets on the images, each against the outputs given. */
function verify(subnets: readonly { saved: string; outputs: unknown[] }[]): Record<string, unknown>[] {
  const json = path.join(folder, "tensors.json");
  writeFileSync(
    json,
    JSON.stringify({ input: numbersOf(images), outputs: subnets.map(({ outputs }) => outputs) }),
  );
  runPython(
    `import sys, json, numpy as np
d = json.load(open(sys.argv[1]))
array = lambda values, *shape: np.array(values, dtype=np.float32).reshape(-1, *shape)
for i, output in enumerate(d["outputs"]):
    np.savez(f"{sys.argv[2]}/verify-{i}.npz", input0=array(d["input"], 1, 8, 8), output0=array(output, 10))`,
    json,
    folder,
  );
  const requests = subnets.map(({ saved }, i) => {
    const inputs = path.join(folder, `verify-${i}.npz`);
    return { model: saved, inputs, expected: inputs, original: file, trainStep: true, tolerance: 1e-5 };
  });
  const script = path.join(root, "scripts", "python", "verify_subnet.py");
  const answers = execFileSync(python, [script, "--serve", "--threads", "1"], {
    input: requests.map((request) => `${JSON.stringify(request)}\n`).join(""),
    encoding: "utf8",
  });
  return answers
    .trim()
    .split("\n")
    .slice(1) // the first line says that the server is ready
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("convert", () => {
  it("finds the widths of a residual network, in groups that the additions tie together", () => {
    const names = space.hyperparameters.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(3);
    for (const { kind, choices, full, active } of space.hyperparameters) {
      if (kind === "depth") continue;
      expect(kind).toBe("outChannels");
      expect(active).toBe(full);
      expect(choices.at(-1)).toBe(full);
      expect(choices.slice(0, -1).every((width) => width % 8 === 0)).toBe(true);
      expect([...choices].sort((a, b) => a - b)).toEqual(choices);
    }
    // What comes in and goes out is no channel to prune.
    expect(space.unprunable.map(({ parameter }) => parameter)).toContain(
      module.namedParameters().at(-2)?.name,
    );
  });

  it("changes no output beyond rounding, of the space and of the module", async () => {
    const expected = facts.logitsOfFirst8Test.flat();
    expect(farthest(await logits(space), expected)).toBeLessThan(1e-4);
    expect(farthest(await logits(module), expected)).toBeLessThan(1e-4);
  });

  it("gives the same space each time, told by the file it came from", async () => {
    const other = await Module.load(file);
    const again = await convert(other, "fastnas", dummyInput());
    expect(await again.fingerprint()).toBe(await space.fingerprint());
    again.select(again.smallestConfig);
    space.select(space.smallestConfig);
    expect(await logits(again)).toEqual(await logits(space));
    const wider = await convert(other, "fastnas", dummyInput(), { channelDivisor: 16 });
    expect(await wider.fingerprint()).not.toBe(await space.fingerprint());
    expect(
      wider.hyperparameters.flatMap(({ choices }) => choices.slice(0, -1)).every((c) => c % 16 === 0),
    ).toBe(true);
    other.close();
  });

  it("refuses what it can't convert", async () => {
    const attempt = (mode: string, config: object | null = null, input: unknown = dummyInput()) =>
      convert(module, mode as Mode, input, config as ConvertConfig);
    expect((await expectCode("ERR_UNKNOWN_MODE", () => attempt("fastnet"))).message).toContain('"fastnas"');
    const key = await expectCode("ERR_UNKNOWN_CONFIG_KEY", () => attempt("fastnas", { channel_divisor: 8 }));
    expect(key.message).toContain('"channelDivisor"');
    await expectCode("ERR_CONFIG_VALUE", () => attempt("fastnas", { channelDivisor: 0 }));
    await expectCode("ERR_CONFIG_VALUE", () => attempt("fastnas", { importance: "l3" }));
    await expectCode("ERR_ABORTED", () => attempt("fastnas", { signal: AbortSignal.abort() }));
    await expectCode("ERR_INPUT", () => attempt("fastnas", null, []));
    await expectCode("ERR_FORWARD", () =>
      attempt("fastnas", null, Tensor.from(new Float32Array(64), [1, 4, 4, 4])),
    );
    await expectCode("ERR_ARGUMENT", () => convert({} as Module, "fastnas", dummyInput()));
    const closed = await Module.load(file);
    closed.close();
    await expectCode("ERR_CLOSED", () => convert(closed, "fastnas", dummyInput()));
    expect(farthest(await logits(module), facts.logitsOfFirst8Test.flat())).toBeLessThan(1e-4);
  });
});

describe("a subnet", { timeout: 240_000 }, () => {
  it("costs what its exported module costs by profile(), and the full one what PyTorch counts", async () => {
    expect(space.costs(space.fullConfig)).toMatchObject({
      params: facts.params,
      macs: facts.macs,
      flops: 2 * facts.macs,
    });
    for (const config of subnets()) {
      space.select(config);
      const subnet = await space.export();
      const { params, macs, flops, size, memory } = await profile(subnet, dummyInput(), {
        metrics: ["flops"],
      });
      expect(space.costs(config)).toEqual({ params, macs, flops, size, memory });
      subnet.close();
    }
  });

  it("exported, gives PyTorch its own outputs, keeps names, and trains there", async () => {
    const exported = [];
    for (const [i, config] of subnets().entries()) {
      space.select(config);
      const outputs = await logits(space);
      const subnet = await space.export();
      expect(farthest(await logits(subnet), outputs)).toBeLessThan(1e-5);
      const saved = path.join(folder, `subnet-${i}.pt`);
      await subnet.save(saved);
      subnet.close();
      exported.push({ saved, outputs, config, params: space.cost(config, "params") });
    }
    const answers = verify(exported);
    expect(answers.length).toBe(exported.length);
    for (const [i, answer] of answers.entries()) {
      expect(answer).toMatchObject({ ok: true, error: null, keysUnexpected: [], gradsFinite: true });
      const out = Object.entries(exported[i]?.config ?? {}).filter(
        ([name, value]) => name.endsWith(".depth") && value === 0,
      );
      for (const key of answer.keysMissing as string[])
        expect(out.some(([name]) => key.startsWith(name.slice(0, -"depth".length)))).toBe(true);
      expect(answer.lossAfter).toBeLessThan(answer.lossBefore as number);
      expect(answer.params).toBe(exported[i]?.params);
    }
  });

  it("runs batches of other sizes than the dummy input's, one image as in company", async () => {
    space.select(space.sample(new Random(9)));
    const all = await logits(space);
    const one = Tensor.from(new Float32Array(numbersOf(images).slice(0, 64) as number[]), [1, 1, 8, 8]);
    const alone = numbersOf((await space.forward(one)) as Tensor);
    expect(farthest(alone, all.slice(0, 10))).toBeLessThan(1e-5);
  });

  it("recalibrated, has the batch-norm statistics that PyTorch computes", async () => {
    const train = await TensorDataLoader.fromNpz(data, { keys: ["train_images"], batchSize: 100 });
    space.select(space.sample(new Random(21)));
    const narrow = await space.export();
    const before = path.join(folder, "before.pt");
    await narrow.save(before);
    const plain = await logits(space);
    await space.recalibrate(train, { maxBatches: 5 });
    const outputs = await logits(space);
    expect(farthest(outputs, plain)).toBeGreaterThan(1e-3);
    const expected = runPython<number[]>(
      `import sys, json, numpy as np, torch
torch.set_num_threads(1)
m = torch.jit.load(sys.argv[1]); d = np.load(sys.argv[2])
norms = [s for s in m.modules() if hasattr(s, "running_mean")]
x = torch.from_numpy(d["train_images"])
def state(): return {k: v.clone() for k, v in m.state_dict().items() if "running_" in k}
# The plain average over batches, whatever momentum the file has: from statistics of one batch at a time.
start = state(); sums = {k: torch.zeros_like(v, dtype=torch.float64) for k, v in start.items()}
momentum = 0.1
for i in range(5):
    m.load_state_dict({**m.state_dict(), **start}); m.train()
    with torch.no_grad(): m(x[100*i:100*i+100])
    for k, v in state().items(): sums[k] += (v.double() - (1 - momentum) * start[k].double()) / momentum
m.load_state_dict({**m.state_dict(), **{k: (v / 5).float() for k, v in sums.items()}}); m.eval()
with torch.no_grad(): print(json.dumps(m(torch.from_numpy(d["test_images"][:8])).flatten().tolist()))`,
      before,
      data,
    );
    expect(farthest(outputs, expected)).toBeLessThan(1e-3);
    const subnet = await space.export();
    expect(farthest(await logits(subnet), outputs)).toBeLessThan(1e-5);
    space.select({}); // selecting drops the statistics
    expect(farthest(await logits(space), plain)).toBeLessThan(1e-6);
  });
});

it("a closed space says so, and leaves the module open", async () => {
  const own = await Module.load(file);
  const closing = await convert(own, "fastnas", dummyInput());
  closing.close();
  expect(closing.closed).toBe(true);
  for (const use of [
    () => closing.forward(images),
    () => closing.select({}),
    () => closing.cost({}, "flops"),
    () => closing.export(),
    () => closing.recalibrate([[images]]),
  ]) {
    await expectCode("ERR_CLOSED", use);
  }
  expect(farthest(await logits(own), facts.logitsOfFirst8Test.flat())).toBeLessThan(1e-4);
  own.close();
});

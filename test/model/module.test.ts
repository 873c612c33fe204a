import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";

import { Module, Tensor } from "../../lib";
import { expected, fixture } from "../support/ioforms";
import { expectCode, expectTensor, numbersOf, tensorOf } from "../support/tensors";

const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-module-"));
afterAll(() => rmSync(scratch, { recursive: true }));

describe("Module.load", () => {
  it("refuses what is no TorchScript file, and says what to do", async () => {
    await expectCode("ERR_FILE_NOT_FOUND", () => Module.load(path.join(scratch, "missing.pt")));
    await expectCode("ERR_FILE_READ", () => Module.load(scratch));
    await expectCode("ERR_INPUT", () => Module.load(""));
    await expectCode("ERR_INPUT", () => Module.load(undefined as never));
    const stateDict = await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(fixture("state_dict")));
    expect(stateDict.message).toContain("torch.jit.save");
    expect(stateDict.message).toContain("state dict");
  });

  it.each([
    ["empty", ""],
    ["text", "this is not a model, but a text that is longer than a zip header"],
    ["zip", "PK\x03\x04 and then nothing that belongs in a zip archive"],
  ])("refuses garbage: %s", async (name, content) => {
    const file = path.join(scratch, name);
    writeFileSync(file, content, "latin1");
    await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(file));
  });

  it("refuses a truncated and a damaged file", async () => {
    const truncated = path.join(scratch, "truncated.pt");
    copyFileSync(fixture("small"), truncated);
    truncateSync(truncated, 1500);
    await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(truncated));
    const damaged = path.join(scratch, "damaged.pt");
    const bytes = readFileSync(fixture("small"));
    bytes.fill(0x55, 100, 600);
    writeFileSync(damaged, bytes);
    await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(damaged));
  });

  it("refuses models that write files, unless allowed", async () => {
    const refused = await expectCode("ERR_UNSAFE_OPERATOR", () => Module.load(fixture("writes")));
    expect(refused.message).toContain("aten::save");
    const allowed = await Module.load(fixture("writes"), { allowUnsafe: ["aten::save"] });
    expect(numbersOf((await allowed.forward(Tensor.from([1, 2]))) as Tensor)).toEqual([1, 2]);
    allowed.close();
    await expectCode("ERR_UNSAFE_OPERATOR", () => Module.load(fixture("writes_on_load")));
    expect(existsSync("written-while-loading")).toBe(false);
  });

  it("refuses unknown devices", async () => {
    await expectCode("ERR_DEVICE", () => Module.load(fixture("small"), { device: "tpu9" }));
    await expectCode("ERR_DEVICE", () => Module.load(fixture("small"), { device: "cuda:99" }));
    const module = await Module.load(fixture("small"), { device: "cpu" });
    await expectCode("ERR_DEVICE", () => module.to("nowhere"));
    await module.to("cpu");
    expect(module.device).toBe("cpu");
    module.close();
  });
});

describe("Module.forward", () => {
  const x = () =>
    Tensor.from([
      [0, 1, 2],
      [3, 4, 5],
    ]);
  const forms = () =>
    [
      x(),
      [
        Tensor.from([
          [1, 1, 1],
          [1, 1, 1],
        ]),
        4,
      ],
      [
        x(),
        Tensor.from([
          [0, 10, 20],
          [30, 40, 50],
        ]),
      ],
      { u: Tensor.from([1]), v: Tensor.from([2n, 3n]) },
      [[1, 2], [], [39]],
    ] as const;

  function compare(value: unknown, described: unknown): void {
    if (value instanceof Tensor) expectTensor(value, described as never);
    else if (typeof value === "object" && value !== null) {
      expect(Object.keys(value)).toEqual(Object.keys(described as object));
      for (const key of Object.keys(value)) {
        compare((value as Record<string, unknown>)[key], (described as Record<string, unknown>)[key]);
      }
    } else expect(value).toEqual(described);
  }

  it("takes and gives tuples, lists, dicts, optionals and plain values", async () => {
    const module = await Module.load(fixture("forms"));
    compare(await module.forwardWith(forms()), expected.forms.defaults);
    const keywords = { maybe: Tensor.from([5n]), scale: 0.5, label: "z", flag: false };
    compare(await module.forward(...forms(), keywords), expected.forms.keywords);
    compare(await module.forwardWith(forms(), keywords), expected.forms.keywords);
    compare(await module.forward(...forms(), keywords.maybe, 0.5, "z", false), expected.forms.keywords);
    compare(await module.forward(...forms(), null, undefined, undefined, undefined), expected.forms.defaults);
    expect(module.signature).toContain("scale: float = 2");
    module.close();
  });

  it("takes a record as the last positional argument when another follows", async () => {
    const module = await Module.load(fixture("intkeys"));
    expect(await module.forwardWith([{ 1: 0.5, [-2]: 2 }, true])).toEqual({ 1: 0.5, "-2": 2 });
    expect(await module.forward({ 7: 1 }, { keep: false })).toEqual({ 0: 0 });
    await expectCode("ERR_INPUT", () => module.forwardWith([{ one: 0.5 }, true]));
    module.close();
  });

  it("takes a named tuple as record or array, and gives a record", async () => {
    const module = await Module.load(fixture("named"));
    const [low, high] = [Tensor.from([1]), Tensor.from([2])];
    for (const box of [{ low, high }, [low, high]]) {
      const swapped = (await module.forwardWith([box])) as Record<string, Tensor>;
      expect(Object.keys(swapped)).toEqual(["low", "high"]);
      expect([swapped.low?.item(), swapped.high?.item()]).toEqual([2, 1]);
    }
    module.close();
  });

  it("gives what PyTorch gives", async () => {
    const module = await Module.load(fixture("small"));
    expectTensor(await module.forward(tensorOf(expected.small.input)), expected.small.output, 1e-6);
    module.close();
  });

  it("refuses inputs that do not fit before anything runs, naming them", async () => {
    const module = await Module.load(fixture("forms"));
    const [a, b, c, d, e] = forms();
    const bad: [unknown[], Record<string, unknown>, string][] = [
      [[a, b, c, d], {}, "grid"],
      [[], {}, "x"],
      [[a, b, c, d, e, null, 1, "z", true, 5], {}, "at most 9"],
      [[1, b, c, d, e], {}, "Input 0 (x)"],
      [[new Float32Array(3), b, c, d, e], {}, "Tensor"],
      [[a, [b[0], 4.5], c, d, e], {}, "Input 1 (pair)[1]"],
      [[a, [b[0]], c, d, e], {}, "2 elements"],
      [[a, b, [a, "no"], d, e], {}, "Input 2 (many)[1]"],
      [[a, b, c, { u: 5 }, e], {}, "(table).u"],
      [[a, b, c, d, [[1, null]]], {}, "(grid)[0][1]"],
      [[a, b, c, d, e], { sclae: 1 }, "sclae"],
      [[a, b, c, d, e], { scale: "big" }, "Input scale"],
      [[a, b, c, d, e], { flag: 1 }, "boolean"],
      [[a, b, c, d, e], { x: a }, "both"],
      [[a, b, c, d, e], { self: a }, "self"],
    ];
    for (const [args, kwargs, hint] of bad) {
      const error = await expectCode("ERR_INPUT", () => module.forwardWith(args as never, kwargs as never));
      expect(error.message).toContain(hint);
    }
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    await expectCode("ERR_INPUT", () => module.forwardWith([cyclic as never]));
    await expectCode("ERR_INPUT", () => module.forward(Object.create(Tensor.prototype) as Tensor));
    compare(await module.forwardWith(forms()), expected.forms.defaults);
    module.close();
  });

  it("passes on what the model complains about, without a backtrace", async () => {
    const small = await Module.load(fixture("small"));
    const shape = await expectCode("ERR_FORWARD", () => small.forward(Tensor.from([[1, 2, 3]])));
    expect(shape.message).toContain("mat1 and mat2 shapes cannot be multiplied");
    expect(shape.message).not.toContain("Exception raised from");
    expect(shape.message.split("\n").length).toBeLessThan(4);
    await expectCode("ERR_FORWARD", () => small.forward(Tensor.from([[1n, 2n, 3n, 4n]])));
    const raises = await Module.load(fixture("raises"));
    const raised = await expectCode("ERR_FORWARD", () => raises.forward(Tensor.from([1])));
    expect(raised.message).toContain("two elements at least are needed");
    expect(numbersOf((await raises.forward(Tensor.from([1, 2]))) as Tensor)).toEqual([1, 2]);
    small.close();
    raises.close();
  });
});

describe("Module state", () => {
  it("lists parameters and buffers as PyTorch does", async () => {
    const module = await Module.load(fixture("small"));
    for (const [list, described] of [
      [module.namedParameters(), expected.small.parameters],
      [module.namedBuffers(), expected.small.buffers],
    ] as const) {
      expect(list.map(({ name }) => name)).toEqual(Object.keys(described));
      for (const { name, tensor } of list) expectTensor(tensor, described[name] as never);
    }
    const count = Object.values({ ...expected.small.parameters, ...expected.small.buffers });
    const bytes = count.reduce(
      (sum, { values, dtype }) => sum + values.length * (dtype === "int64" ? 8 : 4),
      0,
    );
    expect(module.bytes).toBe(bytes);
    module.close();
  });

  it("switches between training and evaluation", async () => {
    const module = await Module.load(fixture("small"));
    const input = tensorOf(expected.small.input);
    expect(module.training).toBe(false);
    expect(module.train()).toBe(module);
    expect(module.training).toBe(true);
    const tracked = () =>
      numbersOf(module.namedBuffers().find(({ name }) => name.endsWith("tracked"))?.tensor as Tensor);
    expect(tracked()).toEqual([0]);
    await module.forward(input);
    expect(tracked()).toEqual([1]);
    expect(module.eval().training).toBe(false);
    await module.forward(input);
    expect(tracked()).toEqual([1]);
    module.close();
  });

  it("runs frozen modules, which have no training mode", async () => {
    const module = await Module.load(fixture("frozen"));
    expect(module.training).toBe(false);
    expectTensor(await module.forward(tensorOf(expected.small.input)), expected.small.output, 1e-6);
    module.eval();
    await expectCode("ERR_FROZEN", () => module.train());
    module.close();
  });

  it("has a fingerprint that follows the weights and the graph", async () => {
    const [one, other, double] = await Promise.all(
      ["small", "small", "double"].map((name) => Module.load(fixture(name))),
    );
    if (!one || !other || !double) throw new Error("unreachable");
    const print = await one.fingerprint();
    expect(print).toMatch(/^[0-9a-f]{64}$/);
    expect(await other.fingerprint()).toBe(print);
    expect(await double.fingerprint()).not.toBe(print);
    (other.namedParameters()[0]?.tensor.data() as Float32Array)[0] = 7;
    expect(await other.fingerprint()).not.toBe(print);
    for (const module of [one, other, double]) module.close();
  });

  it("closes: every later use is ERR_CLOSED, and a running call still ends well", async () => {
    const module = await Module.load(fixture("small"));
    const weight = module.namedParameters()[0]?.tensor as Tensor;
    const running = module.forward(tensorOf(expected.small.input));
    module.close();
    module.close();
    expect(module.closed).toBe(true);
    await running.catch((error) => expect(error).toMatchObject({ code: "ERR_CLOSED" }));
    await expectCode("ERR_CLOSED", () => module.forward(tensorOf(expected.small.input)));
    await expectCode("ERR_CLOSED", () => module.save(path.join(scratch, "closed.pt")));
    await expectCode("ERR_CLOSED", () => module.fingerprint());
    await expectCode("ERR_CLOSED", () => module.namedParameters());
    await expectCode("ERR_CLOSED", () => module.training);
    await expectCode("ERR_CLOSED", () => module.train());
    expect(weight.data().length).toBe(32);
  });
});

describe("Module.save", () => {
  it("writes a file that gives the same outputs", async () => {
    const file = path.join(scratch, "saved.pt");
    const module = await Module.load(fixture("small"));
    await module.save(file);
    const again = await Module.load(file);
    expect(await again.fingerprint()).toBe(await module.fingerprint());
    expectTensor(await again.forward(tensorOf(expected.small.input)), expected.small.output, 1e-6);
    module.close();
    again.close();
  });

  it("leaves an earlier file alone when it fails, and nothing behind", async () => {
    const module = await Module.load(fixture("small"));
    await expectCode("ERR_FILE_WRITE", () => module.save(path.join(scratch, "no", "such", "folder.pt")));
    await expectCode("ERR_FILE_WRITE", () => module.save(scratch));
    const folder = mkdtempSync(path.join(scratch, "full-"));
    const earlier = path.join(folder, "model.pt");
    writeFileSync(earlier, "earlier");
    if (process.getuid?.() !== 0) {
      chmodSync(folder, 0o555);
      await expectCode("ERR_FILE_WRITE", () => module.save(earlier));
      chmodSync(folder, 0o755);
      expect(readFileSync(earlier, "utf8")).toBe("earlier");
    }
    await module.save(earlier);
    expect(readdirSync(folder)).toEqual(["model.pt"]);
    module.close();
  });

  it("survives a full disk", async () => {
    // A file size limit stands for it; writing beyond it fails with EFBIG once SIGXFSZ is ignored.
    if (process.platform !== "linux") return;
    const { runScript } = await import("../support/addon");
    const file = path.join(scratch, "limited.pt");
    writeFileSync(file, "earlier");
    const ended = await runScript(`
      const { execFileSync } = require("node:child_process");
      process.on("SIGXFSZ", () => {});
      execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=4096"]);
      native.Module.load(${JSON.stringify(fixture("small"))}, {}, {}).then(async (module) => {
        await module.save(${JSON.stringify(file)}, {}).catch((error) => process.stderr.write(error.code));
      });
    `);
    expect(ended).toEqual({ code: 0, signal: null, stdout: "", stderr: "ERR_FILE_WRITE" });
    expect(readFileSync(file, "utf8")).toBe("earlier");
    expect(readdirSync(scratch).filter((name) => name.includes(".tmp-"))).toEqual([]);
  });
});

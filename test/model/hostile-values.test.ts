/** What a model from a stranger does while it runs: it ends in a result or a code, and the process stays. */
import { mkdtempSync, readFileSync as readBytes, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { strToU8 } from "fflate";
import { afterAll, describe, expect, it } from "vitest";

import { convert, Module, profile, Tensor } from "../../lib";
import { readZip, writeZip } from "../fuzz/zip";
import { codeOf, readArchive, withCode, withForward, writeArchive } from "../support/archive";
import { fixture } from "../support/ioforms";
import { expectCode, numbersOf } from "../support/tensors";

const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-hostile-values-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const plain = readArchive(fixture("double"));
let files = 0;
function fileOf(records: Parameters<typeof writeArchive>[1]): string {
  const file = path.join(scratch, `${files++}.pt`);
  writeArchive(file, records);
  return file;
}
const withBody = (...body: string[]): string => fileOf(withForward(plain, ...body));
const load = (...body: string[]): Promise<Module> => Module.load(withBody(...body));
const input = (): Tensor => Tensor.from(new Float32Array([1, 2, 3, 4]));

describe("values that hold each other", () => {
  it.each([
    [
      "a loop around Any",
      "t = annotate(Any, x)",
      "for i in range(1000000):",
      "  t0 = annotate(Any, (t,))",
      "  t = t0",
    ],
    ["a list within itself", "t = annotate(List[Any], [])", "_0 = torch.append(t, t)"],
    ["a dictionary within itself", "t = annotate(Dict[str, Any], {})", 'torch._set_item(t, "a", t)'],
    [
      "doubled forty times",
      "t = annotate(Any, x)",
      "for i in range(40):",
      "  t0 = annotate(Any, (t, t))",
      "  t = t0",
    ],
  ])("are refused: %s", async (_, ...body) => {
    const { message } = await expectCode("ERR_UNSAFE_OPERATOR", () => load(...body, "return x"));
    expect(message).toContain('allowUnsafe: ["values of Any within values"]');
  });

  it("are fine where what they hold has a type, and where they are named", async () => {
    const body = ["t = annotate(List[Any], [])", "_0 = torch.append(t, x)", "return x"];
    (await load(...body)).close();
    const nested = withBody("t = annotate(Any, x)", "_0 = annotate(Any, (t,))", "return x");
    (await Module.load(nested, { allowUnsafe: ["values of Any within values"] })).close();
  });

  it("are refused as types that grow line by line", async () => {
    const lines = (line: (i: number) => string) => Array.from({ length: 40 }, (_, i) => line(i));
    await expectCode("ERR_NOT_TORCHSCRIPT", () =>
      load("t0 = (x, x)", ...lines((i) => `t${i + 1} = (t${i}, t${i})`), "return x"),
    );
    const module = await load(
      "t0 = torch.cat([x, x])",
      ...lines((i) => `t${i + 1} = torch.slice(torch.cat([t${i}, x]), 0, 0, 4)`),
      "return t40",
    );
    expect(numbersOf((await module.forward(input())) as Tensor)).toEqual([1, 2, 3, 4]);
    module.close();
  });
});

describe("code that calls itself deeply", () => {
  it("is compiled, or refused", { timeout: 120_000 }, async () => {
    const name = /class (\w+)\(Module\)/.exec(codeOf(plain))?.[1];
    const head = (method: string) => `  def ${method}(self: __torch__.${name},\n    x: Tensor) -> Tensor:\n`;
    const chain = (length: number) => {
      const methods = Array.from({ length }, (_, i) => `${head(`f${i}`)}    return (self).f${i + 1}(x, )\n`);
      const code = codeOf(withForward(plain, "return (self).f0(x, )"));
      return fileOf(withCode(plain, `${code}${methods.join("")}${head(`f${length}`)}    return x\n`));
    };
    const module = await Module.load(chain(2000));
    expect(numbersOf((await module.forward(input())) as Tensor)).toEqual([1, 2, 3, 4]);
    module.close();
    await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(chain(12_000)));
  });
});

describe("methods that each call the next one twice", () => {
  const name = /class (\w+)\(Module\)/.exec(codeOf(plain))?.[1];
  const head = (method: string) => `  def ${method}(self: __torch__.${name},\n    x: Tensor) -> Tensor:\n`;
  const doubling = (length: number): string => {
    const twice = (i: number) => `torch.add((self).f${i}(x, ), (self).f${i}(x, ))`;
    const methods = Array.from({ length }, (_, i) => `${head(`f${i}`)}    return ${twice(i + 1)}\n`);
    const code = codeOf(withForward(plain, "return (self).f0(x, )"));
    return fileOf(withCode(plain, `${code}${methods.join("")}${head(`f${length}`)}    return x\n`));
  };

  it("are refused where they come to more code than fits into memory", async () => {
    for (const length of [20, 40, 500]) {
      const { message } = await expectCode("ERR_UNSAFE_OPERATOR", () => Module.load(doubling(length)));
      expect(message).toContain('allowUnsafe: ["calls that multiply the code"]');
    }
  });

  it("are fine a few times, and where they are named", async () => {
    const module = await Module.load(doubling(8));
    expect(numbersOf((await module.forward(input())) as Tensor)).toEqual([256, 512, 768, 1024]);
    module.close();
    (await Module.load(doubling(40), { allowUnsafe: ["calls that multiply the code"] })).close();
  });
});

describe("classes that contain themselves", () => {
  // A loop would make objects of them as deep as it likes, and they overflow the stack when they are destroyed.
  const link = (held: string): string =>
    fileOf(
      withCode(
        plain,
        `class Link:\n  held : ${held}\n  def __init__(self: __torch__.Link,\n    held: ${held}) -> NoneType:\n` +
          "    self.held = held\n    return None\n" +
          codeOf(
            withForward(
              plain,
              "a = __torch__.Link.__new__(__torch__.Link)",
              "_0 = (a).__init__(None, )",
              "return x",
            ),
          ),
      ),
    );

  it.each([
    ["Optional[__torch__.Link]"],
    ["Optional[List[__torch__.Link]]"],
    ["Optional[Dict[str, Tuple[int, __torch__.Link]]]"],
  ])("are refused: %s", async (held) => {
    // LibTorch knows no class before it is whole. One that it would let through is refused by the list of operators.
    const { message } = await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(link(held)));
    expect(message).toContain("Unknown type name '__torch__.Link'");
  });

  it("are fine where they hold something else", async () => {
    (await Module.load(link("Optional[List[Tensor]]"))).close();
  });
});

describe("divisions that processors trap on", () => {
  const MIN = "(-9223372036854775807 - 1)";
  const four = "torch.size(x, 0)";
  it.each([
    ["remainder by zero", `torch.remainder(1, torch.sub(${four}, 4))`],
    ["the smallest number by -1", `torch.floordiv(${MIN}, torch.sub(${four}, 5))`],
    [
      "the smallest number by -1, in a tensor",
      `torch.slice(torch.div(torch.tensor([${MIN}, 1]), torch.tensor([-1, 1]), rounding_mode="trunc"), 0, 0, 1)`,
    ],
  ])("are an error: %s", async (_, value) => {
    const module = await load(`return torch.add(x, ${value})`);
    for (const call of [
      () => module.forward(input()),
      () => profile(module, input(), { metrics: ["params"] }),
    ]) {
      const { message } = await expectCode("ERR_FORWARD", call);
      expect(message).toContain("divides a whole number");
    }
    module.close();
    const sound = await load("return torch.mul(x, torch.floordiv(9, 4))");
    expect(numbersOf((await sound.forward(input())) as Tensor)).toEqual([2, 4, 6, 8]);
    sound.close();
  });
});

describe("tensors that are resized under those who hold them", () => {
  it("need to be named, where a model resizes them itself", async () => {
    const { message } = await expectCode("ERR_UNSAFE_OPERATOR", () =>
      load("_0 = torch.resize_(x, [9])", "return x"),
    );
    expect(message).toContain("aten::resize_");
  });

  it("keep their shape, where an operator writes a larger result there", async () => {
    const module = await load("return torch.mul(torch.ones([5000000]), 2, out=x)");
    const given = input();
    await expectCode("ERR_FORWARD", () => module.forward(given));
    expect([given.shape, [...given.data()]]).toEqual([[4], [1, 2, 3, 4]]);
    module.close();
  });

  it("keep their memory as long as a typed array shows it", async () => {
    const grow = withBody("_0 = torch.resize_(x, [5000000])", "return x");
    const module = await Module.load(grow, { allowUnsafe: ["aten::resize_"] });
    const identity = await Module.load(fixture("identity"));
    for (let i = 0; i < 20; i++) {
      // Memory of LibTorch's own can grow; that of a typed array can't.
      const own = (await (await load("return torch.add(x, 0)")).forward(input())) as Tensor;
      const seen = own.data();
      ((await module.forward(own)) as Tensor).close();
      expect([...seen]).toEqual([1, 2, 3, 4]);
      expect(own.shape).toEqual([4]);
      own.close();
    }
    const given = input();
    await expectCode("ERR_FORWARD", () => module.forward(given));
    expect([given.shape, [...given.data()]]).toEqual([[4], [1, 2, 3, 4]]);
    identity.close();
    module.close();
  });

  it("have the shape that they had, whatever a model does to its input in place", async () => {
    const module = await load("_0 = torch.unsqueeze_(x, 0)", "return torch.mul_(x, 2)");
    const given = input();
    expect(((await module.forward(given)) as Tensor).shape).toEqual([1, 4]);
    expect(given.shape).toEqual([4]);
    expect([...given.data()]).toEqual([2, 4, 6, 8]);
    module.close();
  });
});

describe("what there is no memory for", () => {
  it("has one code, whichever call needs it", async () => {
    const module = await load("return torch.sum(torch.ones([1000000000000000]))");
    for (const call of [
      () => module.forward(input()),
      () => profile(module, input(), { metrics: ["params"] }),
      () => convert(module, "fastnas", input()),
    ])
      await expectCode("ERR_OUT_OF_MEMORY", call);
    const wide = await load("return torch.expand(torch.slice(x, 0, 0, 1), [1000000, 1000000])");
    const output = (await wide.forward(input())) as Tensor;
    await expectCode("ERR_OUT_OF_MEMORY", async () => output.data());
    wide.close();
    module.close();
  });
});

describe("archives", () => {
  it("whose records share bytes are refused", async () => {
    const bytes = readZip(
      readBytes(fileOf(new Map(plain).set("extra/a", strToU8("same")).set("extra/b", strToU8("same")))),
    );
    const file = path.join(scratch, "overlap.pt");
    const written = writeZip(bytes.entries);
    const { entries, directory } = readZip(written);
    const [a, b] = ["extra/a", "extra/b"].map((name) => entries.find((entry) => entry.name.endsWith(name)));
    // The directory sends the second one to the first one's header, whose name is made the same length.
    const place = written.indexOf(Buffer.from(b?.name ?? ""), directory) - 46 + 42;
    written.writeUInt32LE(a?.local ?? 0, place);
    writeFileSync(file, written);
    await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(file));
  });

  it("that claim to be exported programs are refused with the reason", async () => {
    const pt2 = path.join(scratch, "program.pt2");
    writeFileSync(
      pt2,
      writeZip([
        { name: "program/archive_format", data: Buffer.from("pt2") },
        { name: "program/models/model.json", data: Buffer.from("{}") },
        { name: "program/version", data: Buffer.from("6\n") },
      ]),
    );
    await expectCode("ERR_EXPORTED_PROGRAM", () => Module.load(pt2));
  });
});

/** Files from strangers: nothing in them runs, reads, writes, or crashes the process, before or after they are refused. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { strFromU8, strToU8 } from "fflate";
import { afterAll, describe, expect, it } from "vitest";

import { Module, Tensor } from "../../lib";
import { codeOf, type Records, readArchive, withCode, withForward, writeArchive } from "../support/archive";
import { fixture } from "../support/ioforms";
import { expectCode, numbersOf } from "../support/tensors";

const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-hostile-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const secret = path.join(scratch, "secret");
const written = path.join(scratch, "written");
writeFileSync(secret, "s".repeat(256));

const plain = readArchive(fixture("double"));
const small = readArchive(fixture("small"));
const onLoad = readArchive(fixture("writes_on_load"));

let files = 0;
function write(records: Records, level: 0 | 9 = 0): string {
  const file = path.join(scratch, `${files++}.pt`);
  writeArchive(file, records, level);
  return file;
}

async function expectRefused(code: string, records: Records, level: 0 | 9 = 0): Promise<string> {
  const error = await expectCode(code, () => Module.load(write(records, level)));
  expect(existsSync(written)).toBe(false);
  return error.message;
}

describe("code that reaches outside", () => {
  it.each([
    ["aten::save", `ops.aten.save(x, "${written}")`],
    ["aten::save", `_0 = fork(ops.aten.save, x, "${written}")`, "_1 = torch.wait(_0)"],
    ["aten::save", `_0 = awaitable(ops.aten.save, x, "${written}")`, "_1 = ops.prim.awaitable_wait(_0)"],
    [
      "aten::from_file",
      `_0 = fork(torch.from_file, "${secret}", False, 64, dtype=0)`,
      "return torch.wait(_0)",
    ],
    ["prim::Print", 'print("hello", x)'],
    ["prim::Print", 'ops.prim.Print("hello")'],
    ["prim::TimePoint", "_0 = ops.prim.TimePoint()"],
    ["inductor::_reinterpret_tensor", "return ops.inductor._reinterpret_tensor(x, [4000000], [1], 0)"],
    [
      "aten::_sparse_coo_tensor_unsafe",
      "i = torch.tensor([[100000000]])",
      "return torch.to_dense(ops.aten._sparse_coo_tensor_unsafe(i, torch.ones([1]), [4]))",
    ],
    ["aten::_reshape_alias", "return torch._reshape_alias(x, [4000000], [1])"],
    ["aten::_index_put_impl_", "_0 = torch._index_put_impl_(x, [torch.tensor([100000000])], x, False, True)"],
    ["profiler::_record_function_enter", 'h = ops.profiler._record_function_enter("a", None)'],
    ["aten::manual_seed", "torch.manual_seed(1)"],
  ])("%s is refused: %s", async (name, ...body) => {
    const message = await expectRefused("ERR_UNSAFE_OPERATOR", withForward(plain, ...body, "return x"));
    expect(message).toContain(name);
    expect(message).toContain("allowUnsafe");
  });

  it("lets through what allowUnsafe names, and nothing else", async () => {
    const file = write(
      withForward(plain, `_0 = torch.wait(fork(ops.aten.save, x, "${written}"))`, 'print("")', "return x"),
    );
    await expectCode("ERR_UNSAFE_OPERATOR", () => Module.load(file, { allowUnsafe: ["aten::save"] }));
    const module = await Module.load(file, { allowUnsafe: ["aten::save", "prim::Print"] });
    module.close();
    await expectCode("ERR_UNKNOWN_CONFIG_KEY", () =>
      Module.load(file, { allowUnsafeOperators: true } as never),
    );
    await expectCode("ERR_CONFIG_VALUE", () => Module.load(file, { allowUnsafe: true } as never));
  });

  it("defaults of parameters are literals, since LibTorch evaluates them", async () => {
    const code = codeOf(plain).replace(
      "x: Tensor)",
      `x: Tensor, y: Tensor=torch.from_file("${secret}", False, 64))`,
    );
    await expectRefused("ERR_UNSAFE_OPERATOR", withCode(plain, code));
    const literal = codeOf(plain).replace(
      "x: Tensor)",
      "x: Tensor, y: Optional[List[float]]=None, z: float=-0.5)",
    );
    const module = await Module.load(write(withCode(plain, literal)));
    expect(numbersOf((await module.forward(Tensor.from([1, 2]))) as Tensor)).toEqual([2, 4]);
    module.close();
  });

  it("constants of classes are literals", async () => {
    const code = codeOf(plain).replace(
      "  training : bool\n",
      `  training : bool\n  evil : Final[int] = torch.len(torch.from_file("${secret}", False, 64))\n`,
    );
    await expectRefused("ERR_UNSAFE_OPERATOR", withCode(plain, code));
  });
});

describe("code that runs while a file is loaded", () => {
  const payload = `    _9 = torch.wait(fork(ops.aten.save, "hello", "${written}"))\n`;
  const evil = (text: string) => {
    const code = codeOf(onLoad).replace(
      / {4}ops\.aten\.save\([\s\S]*?\)\n| {4}torch\.save\([\s\S]*?\)\n/,
      "",
    );
    const at = code.indexOf("\n", code.indexOf("->", code.indexOf("def __setstate__"))) + 1;
    return withCode(onLoad, code.slice(0, at) + text + code.slice(at));
  };
  const renamed = (from: string, to: string): Records =>
    new Map([...evil(payload)].map(([name, data]) => [name === from ? to : name, data]));

  it("is refused when it names what files may not", async () => {
    expect(await expectRefused("ERR_UNSAFE_OPERATOR", evil(payload))).toContain("aten::save");
    expect(await expectRefused("ERR_UNSAFE_OPERATOR", onLoad)).toContain("aten::save");
  });

  it("runs when it computes only", async () => {
    const module = await Module.load(write(evil("    _9 = torch.ones([1])\n")));
    module.close();
  });

  it.each([["CODE/__torch__.py"], ["code/__torch__.PY"], ["Code/__torch__.py"]])(
    "is found as %s, too",
    async (name) => {
      const records = renamed("code/__torch__.py", name).set(
        "code/dummy.py",
        strToU8("class X(Module):\n  __parameters__ = []\n"),
      );
      await expectRefused("ERR_NOT_TORCHSCRIPT", records);
    },
  );

  it("two records of one name are refused, whatever their case", async () => {
    await expectRefused(
      "ERR_NOT_TORCHSCRIPT",
      new Map(plain).set("DATA.pkl", plain.get("data.pkl") as Uint8Array),
    );
  });
});

describe("pickles and their records", () => {
  const cut = (bytes: number) =>
    new Map(small).set("data/0", (small.get("data/0") as Uint8Array).subarray(0, bytes));

  it.each([0, 1, 64, 127])("a record of %i bytes for a tensor of 128 is refused", async (bytes) => {
    expect(await expectRefused("ERR_NOT_TORCHSCRIPT", cut(bytes))).toContain("data");
  });

  it("tensors that reach beyond their storages are refused", async () => {
    const pickle = Buffer.from(small.get("data.pkl") as Uint8Array);
    // The shape (8, 4) of the first weight, written as two numbers of one byte: K 08 K 04.
    const shape = Buffer.from([0x4b, 8, 0x4b, 4]);
    const at = pickle.indexOf(shape);
    expect(at).toBeGreaterThan(0);
    pickle[at + 1] = 200;
    await expectRefused("ERR_NOT_TORCHSCRIPT", new Map(small).set("data.pkl", pickle));
  });

  it.each([
    ["tuples", (n: number) => [0x80, 2, 0x4e, ...Array(n).fill(0x85), 0x2e]],
    [
      "lists",
      (n: number) => [0x80, 2, ...Array(n).fill([0x5d, 0x28]).flat(), 0x4e, ...Array(n).fill(0x65), 0x2e],
    ],
    ["a memo slot far away", () => [0x80, 2, 0x4e, 0x72, 0xff, 0xff, 0xff, 0xf0, 0x2e]],
    ["an empty stack", () => [0x80, 2, 0x73, 0x2e]],
    ["a number that is called", () => [0x80, 2, 0x4b, 0, 0x29, 0x52, 0x2e]],
  ])("%s are refused in any pickle", async (_, bytes) => {
    for (const record of ["data.pkl", "constants.pkl", "code/__torch__.py.debug_pkl"])
      await expectRefused("ERR_NOT_TORCHSCRIPT", new Map(plain).set(record, Uint8Array.from(bytes(100_000))));
  });
});

describe("code that nests too deeply", () => {
  it.each([
    ["brackets", `return ${"(".repeat(20_000)}x${")".repeat(20_000)}`],
    ["calls", `return ${"torch.neg(".repeat(5000)}x${")".repeat(5000)}`],
    ["signs", `y = ${"-".repeat(50_000)}1`],
    ["a sum", `y = ${"1 + ".repeat(50_000)}1`],
    ["attributes", `y = x${".T".repeat(50_000)}`],
    ["negations", `y = ${"not ".repeat(50_000)}True`],
  ])("%s are refused", async (_, line) => {
    expect(await expectRefused("ERR_NOT_TORCHSCRIPT", withForward(plain, line, "return x"))).toMatch(
      /deep|long/,
    );
  });

  it("blocks are refused", async () => {
    const body = Array.from({ length: 2000 }, (_, depth) => `${"  ".repeat(depth)}if True:`);
    await expectRefused(
      "ERR_NOT_TORCHSCRIPT",
      withForward(plain, ...body, `${"  ".repeat(2000)}y = x`, "return x"),
    );
  });

  it("long lists and long bodies are not", async () => {
    const list = `y = [${Array.from({ length: 5000 }, (_, i) => `-${i}.5`).join(", ")}]`;
    const lines = Array.from({ length: 3000 }, (_, i) => `_${i} = torch.add(x, ${i})`);
    const module = await Module.load(write(withForward(plain, list, ...lines, "return _1")));
    expect(numbersOf((await module.forward(Tensor.from([1, 2]))) as Tensor)).toEqual([2, 3]);
    module.close();
  });
});

describe("archives", () => {
  it("a flipped byte is an error that names its record, unless nothing is verified", async () => {
    const file = write(small);
    const bytes = readFileSync(file);
    const at = bytes.indexOf(Buffer.from(small.get("data/0") as Uint8Array));
    bytes[at + 5] = (bytes[at + 5] as number) ^ 1;
    writeFileSync(file, bytes);
    const error = await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(file));
    expect(error.message).toContain('"data/0"');
    (await Module.load(file, { verify: false })).close();
  });

  it("a flatbuffer in disguise is refused", async () => {
    const file = write(plain);
    const bytes = readFileSync(file);
    bytes.write("PTMF", 4, "latin1");
    writeFileSync(file, bytes);
    await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(file));
  });

  it("what is appended, or cut off, is refused", async () => {
    const bytes = readFileSync(write(plain));
    for (const changed of [Buffer.concat([bytes, Buffer.from("x")]), bytes.subarray(0, bytes.length - 1)]) {
      const file = path.join(scratch, "changed.pt");
      writeFileSync(file, changed);
      await expectCode("ERR_NOT_TORCHSCRIPT", () => Module.load(file));
    }
  });

  it("a bomb is refused before it is unpacked, and limits hold", async () => {
    const bomb = write(new Map(plain).set("extra/zeros", new Uint8Array(100 * 2 ** 20)), 9);
    const before = process.memoryUsage().rss;
    await expectCode("ERR_MODEL_TOO_LARGE", () => Module.load(bomb));
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * 2 ** 20);
    await expectCode("ERR_MODEL_TOO_LARGE", () => Module.load(write(small), { maxModelBytes: 1000 }));
    (await Module.load(write(small), { maxModelBytes: 100_000 })).close();
  });

  it("what stands beside a model is kept when it is saved, large files too", async () => {
    const extra = Uint8Array.from({ length: 3 * 2 ** 20 }, (_, i) => (i * 7919) % 251);
    const module = await Module.load(
      write(new Map(plain).set("extra/notes", strToU8("hello")).set("extra/large", extra)),
    );
    const file = path.join(scratch, "saved.pt");
    await module.save(file);
    module.close();
    const saved = readArchive(file);
    expect(strFromU8(saved.get("extra/notes") as Uint8Array)).toBe("hello");
    expect(Buffer.compare(Buffer.from(saved.get("extra/large") as Uint8Array), Buffer.from(extra))).toBe(0);
  });

  it("pipes and devices are refused at once", async () => {
    const pipe = path.join(scratch, "pipe");
    execFileSync("mkfifo", [pipe]);
    for (const file of [pipe, "/dev/zero"]) await expectCode("ERR_FILE_READ", () => Module.load(file));
  });
});

/** The history of modes that a model's file keeps, and PyTorch's view of such a file. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  BinarySearcher,
  convert,
  exportModel,
  type ModeSpace,
  Module,
  RandomSearcher,
  registerMode,
  type SearchSpace,
  search,
  Tensor,
} from "../../lib";
import { findMode, modeNames, recordExport } from "../../lib/entries/mode";
import { HISTORY_FILE, UNREADABLE_FILE } from "../../lib/model/history";
import { torchsearch } from "../cli/command";
import { runPython } from "../data/python";
import { expectCode } from "../support/tensors";

const file = path.join(__dirname, "..", "fixtures", "digits_cnn.pt");
const scratch = mkdtempSync(path.join(os.tmpdir(), "torchsearch-history-"));
const dummyInput = () => Tensor.from(new Float32Array(64).fill(0.5), [1, 1, 8, 8]);
/** Prefers small models; no data needed. */
const scoreFunc = async (model: unknown) =>
  1 / Object.values((model as SearchSpace).active).reduce((sum, width) => sum + width, 0);

let module: Module;
beforeAll(async () => {
  module = await Module.load(file);
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** Converts, searches and exports once. */
async function pruned(from: Module, seed = 0): Promise<Module> {
  const space = await convert(from, "fastnas", dummyInput(), { channelDivisor: 4 });
  const { subnet } = await search(space, { flops: "60%" }, null, {
    searcher: "random",
    scoreFunc,
    seed,
    numIters: 3,
    verbose: false,
  });
  space.close();
  return subnet;
}

describe("the history of a model", { timeout: 120_000 }, () => {
  it("is empty for a model from PyTorch", () => {
    expect(module.history).toEqual([]);
  });

  it("tells mode, config, search and result, is kept in the file and continued by the next export", async () => {
    const fingerprint = await module.fingerprint();
    const first = await pruned(module);
    expect(first.history).toHaveLength(1);
    const [record] = first.history;
    expect(record).toMatchObject({
      mode: "fastnas",
      config: { channelDivisor: 4, importance: "l1", depth: true, data: null },
      from: fingerprint,
      search: { searcher: "RandomSearcher", seed: 0, constraints: { flops: "60%" }, config: { numIters: 3 } },
    });
    const { costs, fullCosts } = record?.result as Record<string, Record<string, number>>;
    expect(costs?.flops).toBeLessThanOrEqual(0.6 * (fullCosts?.flops as number));
    expect(record?.search?.score).toBeGreaterThan(0);

    const saved = path.join(scratch, "first.pt");
    await first.save(saved);
    const loaded = await Module.load(saved);
    expect(loaded.history).toEqual(first.history);
    const second = await pruned(loaded, 7);
    expect(second.history).toHaveLength(2);
    expect(second.history[0]).toEqual(record);
    expect(second.history[1]?.from).toBe(await (await Module.load(saved)).fingerprint());
    const twice = path.join(scratch, "second.pt");
    await second.save(twice);
    const again = await Module.load(twice);
    expect(again.history).toEqual(second.history);

    const shown = await torchsearch(scratch, "history", twice, "--json");
    expect(JSON.parse(shown.stdout)).toEqual({ model: twice, history: again.history });
    const text = await torchsearch(scratch, "history", twice);
    expect(text.stdout).toMatch(
      /^1\. fastnas, RandomSearcher, seed 0\n[\s\S]+\n2\. fastnas, RandomSearcher, seed 7\n/,
    );
  });

  it("is the same for the same search", async () => {
    const other = await Module.load(file);
    expect((await pruned(other)).history).toEqual((await pruned(await Module.load(file))).history);
  });

  it("does not count a choice by hand as a search", async () => {
    const space = await convert(module, "autonas", dummyInput());
    space.select(space.smallestConfig);
    const subnet = await exportModel(space);
    expect(subnet.history).toMatchObject([
      { mode: "autonas", search: null, result: { config: space.smallestConfig } },
    ]);
  });
});

const torchAsModule = "import json, sys, torch\nargv = sys.argv[1:]\n";

describe("a file with a history", { timeout: 120_000 }, () => {
  it("is one that PyTorch loads and runs, and whose history it reads", async () => {
    const subnet = await pruned(module);
    const saved = path.join(scratch, "torch.pt");
    await subnet.save(saved);
    const { history, out } = runPython<{ history: { records: unknown }; out: number[] }>(
      `${torchAsModule}files = {"${HISTORY_FILE}": ""}
m = torch.jit.load(argv[0], _extra_files=files)
print(json.dumps({"history": json.loads(files["${HISTORY_FILE}"]), "out": m(torch.full((1, 1, 8, 8), 0.5)).flatten().tolist()}))`,
      saved,
    );
    expect(history).toEqual({ format: "torchsearch-history", version: 1, records: subnet.history });
    const ours = (await subnet.forward(dummyInput())) as Tensor;
    for (const [at, value] of (ours.toArray() as number[][]).flat().entries())
      expect(out[at]).toBeCloseTo(value, 5);
  });

  it("keeps files that others put beside the model", async () => {
    const theirs = path.join(scratch, "theirs.pt");
    runPython(
      `${torchAsModule}torch.jit.save(torch.jit.load(argv[0]), argv[1], _extra_files={"notes.txt": "caf\\u00e9"})`,
      file,
      theirs,
    );
    const ours = path.join(scratch, "ours.pt");
    await (await Module.load(theirs)).save(ours);
    const notes = runPython<string>(
      `${torchAsModule}files = {"notes.txt": ""}
torch.jit.load(argv[0], _extra_files=files)
print(json.dumps(files["notes.txt"] if isinstance(files["notes.txt"], str) else files["notes.txt"].decode()))`,
      ours,
    );
    expect(notes).toBe("café");
  });

  it.each([
    ["what is no JSON", "{", "ERR_HISTORY"],
    ["nothing", "", "ERR_HISTORY"],
    ["another JSON", '{"a":1}', "ERR_HISTORY"],
    ["no list", '{"format":"torchsearch-history","version":1,"records":{}}', "ERR_HISTORY"],
    [
      "half a record",
      '{"format":"torchsearch-history","version":1,"records":[{"mode":"fastnas"}]}',
      "ERR_HISTORY",
    ],
    ["a newer version", '{"format":"torchsearch-history","version":2,"log":[]}', "ERR_HISTORY_VERSION"],
  ])("loads with a warning when it holds %s, and loses nothing", async (_, text, code) => {
    const damaged = path.join(scratch, "damaged.pt");
    module.native.setExtraFile(HISTORY_FILE, text);
    await module.save(damaged);
    const loaded = await Module.load(damaged);
    const warning = new Promise<Error & { code?: string }>((resolve) => process.once("warning", resolve));
    expect(loaded.history).toEqual([]);
    expect((await warning).code).toBe(code);
    expect(loaded.history).toEqual([]);
    const space = await convert(loaded, "fastnas", dummyInput());
    const subnet = await space.export();
    expect(subnet.history).toHaveLength(1);
    await subnet.save(damaged);
    const after = await Module.load(damaged);
    expect(after.native.extraFile(UNREADABLE_FILE)).toBe(text);
    module.native.setExtraFile(HISTORY_FILE, '{"format":"torchsearch-history","version":1,"records":[]}');
  });
});

describe("modes", () => {
  it("are found by name; an unknown one names the nearest", async () => {
    expect(modeNames().slice(0, 2)).toEqual(["fastnas", "autonas"]);
    const error = await expectCode("ERR_UNKNOWN_MODE", () =>
      convert(module, "auto-nas" as "autonas", dummyInput()),
    );
    expect(error.message).toContain('did you mean "autonas"?');
    const space = await convert(module, "fastnas", dummyInput());
    const unknown = await expectCode("ERR_UNKNOWN_SEARCHER", () =>
      search(space, { flops: "60%" }, null, { searcher: "binery" as "binary" }),
    );
    expect(unknown.message).toContain('did you mean "binary"?');
    await expectCode("ERR_ARGUMENT", () => search({} as ModeSpace, {}));
    await expectCode("ERR_UNKNOWN_CONFIG_KEY", () =>
      search(space, {}, null, { numIters: 3, scoreFunc } as object),
    );
    space.close();
  });

  it("have a default searcher", async () => {
    const space = await convert(module, "fastnas", dummyInput(), { channelDivisor: 16 });
    const { subnet } = await search(space, { params: "90%" }, null, { scoreFunc, verbose: false });
    expect(subnet.history[0]?.search?.searcher).toBe(BinarySearcher.name);
  });

  it("can be added, with a config and a space of their own", async () => {
    class WholeSpace implements ModeSpace {
      readonly mode = "test_whole";
      readonly training = false;
      closed = false;
      constructor(
        readonly module: Module,
        readonly factor: number,
      ) {}
      forward = (...inputs: unknown[]) => this.module.forward(...(inputs as never[]));
      train = () => this;
      eval = () => this;
      fingerprint = () => this.module.fingerprint();
      close() {
        this.closed = true;
      }
      async export() {
        const copy = path.join(scratch, "whole.pt");
        await this.module.save(copy);
        const subnet = await Module.load(copy);
        recordExport(subnet, this, { factor: this.factor });
        return subnet;
      }
    }
    const mode = registerMode<{ factor?: number }, WholeSpace>({
      name: "test_whole",
      description: "a mode of this test",
      defaults: { factor: 2 },
      rules: { factor: { expected: "a number", accepts: (value) => typeof value === "number" } },
      convert: async (from, _, { factor }) => new WholeSpace(from, factor),
      searchers: { random: RandomSearcher },
      defaultSearcher: "random",
    });
    expect(registerMode(mode)).toBe(mode);
    const space = await convert(module, mode, dummyInput(), { factor: 3 });
    expect(space.factor).toBe(3);
    expect((await convert(module, findMode("test_whole"), dummyInput())) instanceof WholeSpace).toBe(true);
    const subnet = await exportModel(space);
    expect(subnet.history).toMatchObject([
      { mode: "test_whole", config: { factor: 3 }, result: { factor: 3 } },
    ]);
    await expectCode("ERR_CONFIG_VALUE", () => convert(module, mode, dummyInput(), { factor: "x" as never }));
    await expectCode("ERR_MODE_EXISTS", () => registerMode({ ...mode }));
    await expectCode("ERR_ARGUMENT", () => registerMode({ ...mode, name: "Bad Name" }));
    await expectCode("ERR_ARGUMENT", () =>
      registerMode({ ...mode, name: "other", defaultSearcher: "binary" }),
    );
    await expectCode("ERR_ARGUMENT", () => registerMode({ ...mode, name: "other", rules: {} as never }));
  });
});

it("examples/modes.mjs runs", { timeout: 120_000 }, () => {
  const script = path.join(__dirname, "..", "..", "examples", "modes.mjs");
  const lines = execFileSync(process.execPath, [script], { encoding: "utf8" }).trim().split("\n");
  expect(lines).toHaveLength(2);
  for (const [at, share] of [80, 75].entries()) {
    const [, printed] =
      /^fastnas by RandomSearcher: score -?[\d.]+, ([\d.]+) %/.exec(lines[at] as string) ?? [];
    expect(Number(printed)).toBeLessThanOrEqual(share);
  }
});

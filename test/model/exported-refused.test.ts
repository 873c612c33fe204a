import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Module } from "../../lib";
import { readZip, writeZip } from "../fuzz/zip";
import { at, bitsOf, firstOf, makePrograms, scratch } from "../support/exported";
import { expectCode } from "../support/tensors";

afterAll(() => rmSync(scratch, { recursive: true }));
beforeAll(() => makePrograms(["cnn", "wide", "bad_wide", "bad_autocast", "bad_loop", "bad_custom"]), 600_000);

describe("files that are refused", () => {
  it.each([
    ["bad_autocast", "ERR_UNSUPPORTED_EXPORT", "autocast"],
    ["bad_loop", "ERR_UNSUPPORTED_EXPORT", "while_loop"],
    ["bad_custom", "ERR_UNKNOWN_OPERATOR", "torchsearch_test::twice"],
  ])("%s", async (name, code, part) => {
    const error = await expectCode(code, () => Module.load(at(`${name}.pt2`)));
    expect(error.message).toContain(part);
  });

  // biome-ignore lint/suspicious/noExplicitAny: a program is edited as Python would
  type Program = any;
  const edited = (edit: (records: Map<string, Buffer>) => void, compress = false): string => {
    const bytes = readFileSync(at("cnn.pt2"));
    const records = new Map(readZip(bytes).entries.map(({ name, data }) => [name.replace("cnn/", ""), data]));
    edit(records);
    const file = at("edited.pt2");
    const entries = [...records].map(([name, data]) => ({ name: `cnn/${name}`, data, deflate: compress }));
    writeFileSync(file, writeZip(entries));
    return file;
  };
  const json = (records: Map<string, Buffer>, name: string, edit: (value: Program) => void): void => {
    const value = JSON.parse((records.get(name) as Buffer).toString()) as Program;
    edit(value);
    records.set(name, Buffer.from(JSON.stringify(value)));
  };
  const PROGRAM = "models/model.json";
  const WEIGHTS = "data/weights/model_weights_config.json";

  it("what is damaged or hostile", async () => {
    const whole = readFileSync(at("cnn.pt2"));
    const refused = async (code: string, part: RegExp, file: string) => {
      expect((await expectCode(code, () => Module.load(file))).message).toMatch(part);
    };
    writeFileSync(at("cut.pt2"), whole.subarray(0, whole.length / 2));
    await refused("ERR_EXPORTED_PROGRAM", /truncated|end/, at("cut.pt2"));
    const flipped = Buffer.from(whole);
    const target = readZip(whole).entries.find(({ name }) => name.endsWith("weight_0"));
    flipped[(target?.at ?? 0) + 3] = (flipped[(target?.at ?? 0) + 3] as number) ^ 1;
    writeFileSync(at("flipped.pt2"), flipped);
    await refused("ERR_EXPORTED_PROGRAM", /checksum/, at("flipped.pt2"));
    const E = "ERR_EXPORTED_PROGRAM";
    const U = "ERR_UNSUPPORTED_EXPORT";
    const program = (edit: (value: Program) => void) => edited((records) => json(records, PROGRAM, edit));
    const weights = (edit: (value: Program) => void) =>
      edited((records) => json(records, WEIGHTS, (value) => edit(value.config["fc.weight"])));
    const firstNode = (value: Program) => value.graph_module.graph.nodes[0];
    await refused(
      U,
      /schema version 9/,
      program((value) => {
        value.schema_version.major = 9;
      }),
    );
    await refused(
      E,
      /record of the tensor "fc.weight"/,
      weights((value) => {
        value.tensor_meta.sizes[0].as_int = 1e9;
      }),
    );
    await refused(
      E,
      /impossible|negative|size/,
      weights((value) => {
        value.tensor_meta.sizes[0].as_int = -1;
      }),
    );
    await refused(
      E,
      /beyond/,
      weights((value) => {
        value.tensor_meta.strides[0].as_int = 2 ** 47;
      }),
    );
    await refused(
      E,
      /missing/,
      weights((value) => {
        value.path_name = "weight_99";
      }),
    );
    await refused(
      U,
      /pickle/,
      weights((value) => {
        value.use_pickle = true;
      }),
    );
    await refused(
      U,
      /not strided/,
      weights((value) => {
        value.tensor_meta.layout = 2;
      }),
    );
    await refused(
      E,
      /compressed/,
      edited(() => undefined, true),
    );
    await refused(
      E,
      /another/,
      edited((records) => void records.set("MODELS/model.json", Buffer.from("{}"))),
    );
    await refused(
      E,
      /nested/,
      edited((records) => void records.set(PROGRAM, Buffer.from("[".repeat(1e6)))),
    );
    await refused(
      E,
      /valid JSON/,
      edited((records) => void records.set(PROGRAM, Buffer.from("{"))),
    );
    await refused(
      "ERR_UNKNOWN_OPERATOR",
      /no_such/,
      program((v) => {
        firstNode(v).target = "torch.ops.aten.no_such.default";
      }),
    );
    await refused(
      "ERR_UNKNOWN_OPERATOR",
      /mine::op/,
      program((v) => {
        firstNode(v).target = "torch.ops.mine.op.default";
      }),
    );
    await refused(
      U,
      /higher-order operator "scan"/,
      program((v) => {
        firstNode(v).target = "torch.ops.higher_order.scan";
      }),
    );
    await refused(
      U,
      /os.system/,
      program((v) => {
        firstNode(v).target = "os.system";
      }),
    );
    await refused(
      "ERR_UNSAFE_OPERATOR",
      /aten::from_file/,
      program((v) => {
        v.graph_module.graph.nodes.unshift({
          target: "torch.ops.aten.from_file.default",
          inputs: [{ name: "filename", arg: { as_string: "/etc/passwd" }, kind: 1 }],
          outputs: [{ as_tensor: { name: "conv2d" } }],
          metadata: {},
        });
        v.graph_module.graph.nodes.splice(1, 1);
      }),
    );
    await refused(
      E,
      /before it is computed/,
      program((v) => void v.graph_module.graph.nodes.shift()),
    );
    await refused(
      U,
      /AOTInductor/,
      edited((records) => {
        records.delete(PROGRAM);
        records.set("data/aotinductor/model/a.so", Buffer.from("x"));
      }),
    );
    await refused(
      U,
      /byte order/,
      edited((records) => void records.set("byteorder", Buffer.from("big"))),
    );
    await expectCode("ERR_MODEL_TOO_LARGE", () => Module.load(at("cnn.pt2"), { maxModelBytes: 1000 }));
  });

  it.runIf(process.platform === "linux")("before memory for the weights is asked for", async () => {
    // How much the process has had at most since the last call, in MB.
    const most = () => {
      const peak = /VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
      writeFileSync("/proc/self/clear_refs", "5");
      return Number(peak) / 1024;
    };
    most();
    const before = most();
    const error = await expectCode("ERR_UNKNOWN_OPERATOR", () =>
      Module.load(at("bad_wide.pt2"), { verify: false }),
    );
    expect(error.message).toContain("export");
    expect(most() - before).toBeLessThan(30);
    using wide = await Module.load(at("wide.pt2"), { verify: false });
    expect(wide.bytes).toBeGreaterThan(100 * 2 ** 20);
    expect(most() - before).toBeGreaterThan(90);
  });

  it("several programs, without a name", async () => {
    const file = edited((records) => {
      for (const [name, data] of [...records]) {
        if (name.includes("model_") || name.includes("/model."))
          records.set(name.replace("model", "other").replace("others/", "models/"), data);
      }
      records.set("models/other.json", records.get(PROGRAM) as Buffer);
      records.set("data/weights/other_weights_config.json", records.get(WEIGHTS) as Buffer);
    });
    const error = await expectCode("ERR_MODEL_NAME", () => Module.load(file));
    expect(error.message).toMatch(/"model", "other"/);
    await expectCode("ERR_MODEL_NAME", () => Module.load(file, { model: "third" }));
    using other = await Module.load(file, { model: "other" });
    const { args, outputs } = await firstOf("cnn");
    expect(bitsOf(await other.forward(...args))).toEqual(bitsOf(outputs[0]));
    await expectCode("ERR_MODEL_NAME", () => Module.load(at("cnn.pt"), { model: "other" }));
  });
});

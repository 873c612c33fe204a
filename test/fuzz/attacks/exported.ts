/** Exported programs that lie, end early, or ask for what a program has no reason to ask for. */
import { readFileSync } from "node:fs";
import path from "node:path";

import { fixtures } from "../kinds";
import { readZip, writeZip, type ZipEntry } from "../zip";
import type { Attack } from "./attack";

// biome-ignore lint/suspicious/noExplicitAny: a program is edited as Python would
type Json = any;

const whole = readFileSync(path.join(fixtures, "exported", "tiny.pt2"));
const PROGRAM = "models/model.json";
const WEIGHTS = "data/weights/model_weights_config.json";

const entries = (): ZipEntry[] => readZip(whole).entries.map(({ name, data }) => ({ name, data }));
const zip = (edit: (all: ZipEntry[]) => ZipEntry[]): Buffer => writeZip(edit(entries()));
const record = (name: string, edit: (data: Buffer) => Buffer): Buffer =>
  zip((all) => all.map((each) => (each.name === `tiny/${name}` ? { ...each, data: edit(each.data) } : each)));
const json = (name: string, edit: (value: Json) => unknown): Buffer =>
  record(name, (data) => {
    const value = JSON.parse(data.toString()) as Json;
    return Buffer.from(JSON.stringify(edit(value) ?? value));
  });
const program = (edit: (value: Json) => unknown): Buffer => json(PROGRAM, edit);
const nodes = (edit: (list: Json[]) => unknown): Buffer =>
  program((value) => void edit(value.graph_module.graph.nodes));
const weight = (edit: (meta: Json, config: Json) => unknown): Buffer =>
  json(WEIGHTS, ({ config }) => {
    edit(config["body.0.weight"].tensor_meta, config["body.0.weight"]);
  });
const ints = (...values: number[]) => values.map((as_int) => ({ as_int }));

/** A program whose first node makes a tensor that nothing else needs. */
const making = (target: string, inputs: readonly Json[]): Buffer =>
  nodes((list) =>
    list.unshift({
      target,
      inputs,
      outputs: [{ as_tensor: { name: "extra" } }],
      metadata: {},
      name: "extra",
    }),
  );
const given = (name: string, arg: Json, kind = 1) => ({ name, arg, kind });

const PROGRAM_ERROR = "ERR_EXPORTED_PROGRAM";
const UNSUPPORTED = "ERR_UNSUPPORTED_EXPORT";
const REFUSED = [PROGRAM_ERROR, UNSUPPORTED, "ERR_UNKNOWN_OPERATOR", "ERR_UNSAFE_OPERATOR", "ERR_MODEL_LOAD"];

const row = (what: string, bytes: Buffer, wanted: string | readonly string[] = REFUSED): Attack => ({
  kind: "exported",
  name: "file.pt2",
  what,
  bytes,
  // The sound program can't be converted: its values decide.
  wanted: wanted.includes("ok") ? [...[wanted].flat(), "ERR_DATA_DEPENDENT"] : wanted,
});

const higherOrder = ["map_impl", "scan", "while_loop", "flex_attention", "auto_functionalized"].map((name) =>
  row(
    `the higher-order operator ${name}`,
    nodes((list) => {
      list[0].target = `torch.ops.higher_order.${name}`;
    }),
  ),
);
const schemas = [7, 9, -1, 1e300, "8", null, {}, [8]].map((major) =>
  row(
    `schema ${JSON.stringify(major)}`,
    program((value) => {
      value.schema_version.major = major;
    }),
  ),
);
/** Each field of a program, and a weight's, as a value of another type. */
const wrongTypes = [null, 5, "x", [], {}, true].flatMap((other) => [
  ...["graph_module", "schema_version", "range_constraints", "opset_version"].map((field) =>
    row(
      `${field} is ${JSON.stringify(other)}`,
      program((value) => {
        value[field] = other;
      }),
      ["ok", ...REFUSED, "ERR_SHAPE_RANGE", "ERR_FORWARD"],
    ),
  ),
  ...["graph", "signature", "module_call_graph"].map((field) =>
    row(
      `graph_module.${field} is ${JSON.stringify(other)}`,
      program((value) => {
        value.graph_module[field] = other;
      }),
      ["ok", ...REFUSED, "ERR_INPUT", "ERR_FORWARD"],
    ),
  ),
  ...["inputs", "outputs", "nodes", "tensor_values", "sym_int_values"].map((field) =>
    row(
      `graph.${field} is ${JSON.stringify(other)}`,
      program((value) => {
        value.graph_module.graph[field] = other;
      }),
      ["ok", ...REFUSED, "ERR_INPUT", "ERR_FORWARD"],
    ),
  ),
  ...["target", "inputs", "outputs", "metadata"].map((field) =>
    row(
      `a node's ${field} is ${JSON.stringify(other)}`,
      nodes((list) => {
        list[2][field] = other;
      }),
      ["ok", ...REFUSED],
    ),
  ),
  ...["dtype", "sizes", "strides", "storage_offset", "layout", "device"].map((field) =>
    row(
      `a weight's ${field} is ${JSON.stringify(other)}`,
      weight((meta) => {
        meta[field] = other;
      }),
      ["ok", ...REFUSED],
    ),
  ),
  ...["path_name", "use_pickle", "tensor_meta"].map((field) =>
    row(
      `a weight's ${field} is ${JSON.stringify(other)}`,
      weight((_, config) => {
        config[field] = other;
      }),
      ["ok", ...REFUSED],
    ),
  ),
]);

export const EXPORTED: readonly Attack[] = [
  ...[0, 1, 10, 100, 1000, whole.length / 2, whole.length - 30, whole.length - 1].map((length) =>
    row(`its first ${Math.trunc(length)} bytes`, whole.subarray(0, length), [
      "ERR_EXPORTED_PROGRAM",
      "ERR_MODEL_LOAD",
      "ERR_NOT_TORCHSCRIPT",
    ]),
  ),
  row("a zip of texts", writeZip([{ name: "readme.txt", data: Buffer.from("hello") }]), [
    "ERR_EXPORTED_PROGRAM",
    "ERR_MODEL_LOAD",
    "ERR_NOT_TORCHSCRIPT",
  ]),
  ...schemas,
  ...higherOrder,
  row(
    "autocast",
    nodes((list) => {
      list[0].target = "torch.ops.higher_order.wrap_with_autocast";
    }),
    UNSUPPORTED,
  ),
  row(
    "an operator that there isn't",
    nodes((list) => {
      list[2].target = "torch.ops.aten.no_such.default";
    }),
    "ERR_UNKNOWN_OPERATOR",
  ),
  row(
    "an operator of a library of its own",
    nodes((list) => {
      list[2].target = "torch.ops.mine.op.default";
    }),
    "ERR_UNKNOWN_OPERATOR",
  ),
  row(
    "a function of Python",
    nodes((list) => {
      list[2].target = "os.system";
    }),
    UNSUPPORTED,
  ),
  row(
    "a name of an operator that is 1 MB long",
    nodes((list) => {
      list[2].target = `torch.ops.aten.${"a".repeat(1e6)}.default`;
    }),
  ),
  ...["from_file", "save", "_index_put_impl_", "resize_"].map((name) =>
    row(
      `aten::${name}`,
      nodes((list) => {
        list[2].target = `torch.ops.aten.${name}.default`;
      }),
    ),
  ),
  row(
    "a record shorter than its weight",
    record("data/weights/weight_0", (data) => data.subarray(0, 95)),
    PROGRAM_ERROR,
  ),
  row(
    "an empty record",
    record("data/weights/weight_0", () => Buffer.alloc(0)),
    PROGRAM_ERROR,
  ),
  row(
    "a weight that is pickled",
    weight((_, config) => {
      config.use_pickle = true;
    }),
    UNSUPPORTED,
  ),
  row(
    "a record elsewhere",
    weight((_, config) => {
      config.path_name = "../../../../etc/passwd";
    }),
    PROGRAM_ERROR,
  ),
  ...[1e9, 2 ** 31, 2 ** 53, -1, 1e300, 0.5].map((size) =>
    row(
      `a weight of ${size} rows`,
      weight((meta) => {
        meta.sizes = ints(size, 4);
      }),
    ),
  ),
  row(
    "sizes whose product is 2^64",
    weight((meta) => {
      meta.sizes = ints(2 ** 32, 2 ** 32);
    }),
  ),
  row(
    "a weight of 100,000 dimensions",
    weight((meta) => {
      meta.sizes = ints(...new Array(100_000).fill(1));
      meta.strides = ints(...new Array(100_000).fill(1));
    }),
  ),
  row(
    "strides beyond the record",
    weight((meta) => {
      meta.strides = ints(2 ** 40, 1);
    }),
  ),
  row(
    "strides that go backwards",
    weight((meta) => {
      meta.strides = ints(-4, 1);
    }),
  ),
  row(
    "an offset beyond the record",
    weight((meta) => {
      meta.storage_offset = { as_int: 2 ** 40 };
    }),
  ),
  row(
    "an offset before the record",
    weight((meta) => {
      meta.storage_offset = { as_int: -1 };
    }),
  ),
  row(
    "more sizes than strides",
    weight((meta) => {
      meta.sizes = ints(1, 2, 3, 4);
    }),
  ),
  row(
    "a dtype that there isn't",
    weight((meta) => {
      meta.dtype = 99;
    }),
  ),
  row(
    "a weight on another device",
    weight((meta) => {
      meta.device = { type: "../../cuda", index: 9999 };
    }),
    ["ok", ...REFUSED],
  ),
  row(
    "rows that are all the same",
    weight((meta) => {
      meta.strides = ints(0, 1);
    }),
    ["ok", ...REFUSED],
  ),
  row(
    "a byte order that isn't ours",
    record("byteorder", () => Buffer.from("big")),
    UNSUPPORTED,
  ),
  row(
    "records that are compressed",
    zip((all) => all.map((each) => ({ ...each, deflate: true }))),
    PROGRAM_ERROR,
  ),
  row(
    "a record twice",
    zip((all) => [...all, all[0] as ZipEntry]),
    PROGRAM_ERROR,
  ),
  row(
    "records that differ in case",
    zip((all) => [...all, { name: "tiny/MODELS/model.json", data: Buffer.from("{}") }]),
    PROGRAM_ERROR,
  ),
  row(
    "a record that claims 1 TB",
    zip((all) => all.map((each, i) => (i === 0 ? { ...each, claim: 2 ** 40 } : each))),
    PROGRAM_ERROR,
  ),
  row(
    "names that lead out of the archive",
    zip((all) => [...all, { name: "tiny/../../escaped", data: Buffer.from("x") }]),
    ["ok", PROGRAM_ERROR],
  ),
  row(
    "two folders",
    zip((all) => [...all, { name: "other/models/model.json", data: Buffer.from("{}") }]),
    ["ok", PROGRAM_ERROR, "ERR_MODEL_NAME"],
  ),
  row(
    "1,000 programs",
    zip((all) => [
      ...all,
      ...Array.from({ length: 1000 }, (_, i) => ({
        name: `tiny/models/m${i}.json`,
        data: Buffer.from("{}"),
      })),
    ]),
    "ERR_MODEL_NAME",
  ),
  row(
    "a deep program",
    record(PROGRAM, () => Buffer.from("[".repeat(1e6))),
    PROGRAM_ERROR,
  ),
  row(
    "a deep object",
    record(PROGRAM, () => Buffer.from('{"a":'.repeat(1e6))),
    PROGRAM_ERROR,
  ),
  row(
    "a number of a million digits",
    record(PROGRAM, (data) => Buffer.from(data.toString().replace("0.9", "9".repeat(1e6)))),
    ["ok", ...REFUSED, "ERR_FORWARD"],
  ),
  row(
    "keys of prototypes",
    program((value) => {
      value.graph_module.graph.tensor_values = JSON.parse(
        '{"__proto__":{"dtype":7},"constructor":{}}',
      ) as Json;
    }),
    ["ok", ...REFUSED],
  ),
  row(
    "text that is no UTF-8",
    record(PROGRAM, (data) =>
      Buffer.concat([data.subarray(0, 5), Buffer.from([0xff, 0xfe]), data.subarray(5)]),
    ),
    PROGRAM_ERROR,
  ),
  row(
    "a node that needs what comes later",
    nodes((list) => list.reverse()),
    PROGRAM_ERROR,
  ),
  row(
    "a node that needs itself",
    nodes((list) => {
      list[4].inputs[0].arg.as_tensor.name = list[4].outputs[0].as_tensor.name;
    }),
  ),
  row(
    "a value twice",
    nodes((list) => list.splice(3, 0, list[2])),
    ["ok", ...REFUSED],
  ),
  row(
    "no nodes",
    nodes((list) => list.splice(0)),
  ),
  row(
    "100,000 nodes",
    nodes((list) => {
      const one = list[2];
      for (let i = 0; i < 100_000; i++)
        list.splice(3, 0, { ...one, outputs: [{ as_tensor: { name: `n${i}` } }] });
    }),
    ["ok", ...REFUSED, "ERR_TIMEOUT", "ERR_ABORTED"],
  ),
  row(
    "zeros of 2^50",
    making("torch.ops.aten.zeros.default", [given("size", { as_ints: [2 ** 25, 2 ** 25] })]),
    [...REFUSED, "ERR_FORWARD", "ERR_OUT_OF_MEMORY"],
  ),
  row("zeros of a size below 0", making("torch.ops.aten.zeros.default", [given("size", { as_ints: [-5] })]), [
    ...REFUSED,
    "ERR_FORWARD",
  ]),
  row(
    "a sum over the dimension 2^62",
    nodes((list) => {
      const sum = list.find(({ target }: Json) => target.startsWith("torch.ops.aten.mean"));
      sum.inputs[1].arg = { as_ints: [2 ** 62] };
    }),
    [...REFUSED, "ERR_FORWARD"],
  ),
  ...[
    "s0**s0**s0**s0",
    "(".repeat(100_000),
    "__import__('os').system('x')",
    "9".repeat(10_000),
    "s0//0",
    "Mod(s0,0)",
    "",
  ].map((expr) =>
    row(
      `a size that is ${expr.slice(0, 30)}`,
      program((value) => {
        const values = value.graph_module.graph.sym_int_values;
        for (const key of Object.keys(values))
          values[key] = { as_expr: { expr_str: expr, hint: { as_int: 3 } } };
      }),
      ["ok", ...REFUSED, "ERR_FORWARD"],
    ),
  ),
  row(
    "a range from 9 to 2",
    program((value) => {
      for (const each of Object.values(value.range_constraints) as Json[])
        Object.assign(each, { min_val: 9, max_val: 2 });
    }),
    ["ok", ...REFUSED, "ERR_SHAPE_RANGE", "ERR_FORWARD"],
  ),
  row(
    "sample inputs that run code",
    record("data/sample_inputs/model.pt", () =>
      writeZip([
        { name: "model/data.pkl", data: Buffer.from("cos\nsystem\n(S'touch ran'\ntR.") },
        { name: "model/version", data: Buffer.from("3\n") },
      ]),
    ),
    ["ok", PROGRAM_ERROR, "ERR_SAMPLE_INPUTS"],
  ),
  row(
    "sample inputs that are a TorchScript model",
    record("data/sample_inputs/model.pt", () =>
      readFileSync(path.join(fixtures, "ioforms", "writes_on_load.pt")),
    ),
    ["ok", PROGRAM_ERROR, "ERR_SAMPLE_INPUTS"],
  ),
  ...wrongTypes,
];

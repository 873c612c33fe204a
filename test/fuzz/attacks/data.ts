/** Arrays that claim more than they hold, and JSON that no person wrote. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { deflateRawSync } from "node:zlib";

import { npy, safetensors } from "../mutations/arrays";
import { writeZip } from "../zip";
import { type Attack, refusedData } from "./attack";

const header = (descr: string, shape: string, order = "False"): string =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;

const tensor = (shape: unknown, offsets: unknown, dtype: unknown = "F32") => ({
  dtype,
  shape,
  data_offsets: offsets,
});
const many = (count: number, of: (i: number) => [string, unknown]): Record<string, unknown> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => of(i)));

/** What a deflated member of zeros unpacks to, in a file a thousandth of it. */
const ZEROS = 100 * 2 ** 20;

export const ARRAYS: readonly Attack[] = [
  refusedData("npy", "file.npy", "1 TB", npy(header("<f4", "(274877906944,)"), Buffer.alloc(16))),
  refusedData(
    "npy",
    "file.npy",
    "2^64 elements",
    npy(header("<f4", "(4294967296, 4294967296)"), Buffer.alloc(16)),
  ),
  refusedData(
    "npy",
    "file.npy",
    "4,000 dimensions",
    npy(header("<f4", `(${"1,".repeat(4000)})`), Buffer.alloc(8)),
  ),
  refusedData(
    "npy",
    "file.npy",
    "objects",
    npy(header("|O", "(1,)"), Buffer.from("cos\nsystem\n(S'touch ran'\ntR.")),
  ),
  refusedData(
    "npy",
    "file.npy",
    "a header that is a program",
    npy("__import__('os').system('touch ran')", Buffer.alloc(0)),
  ),
  refusedData(
    "npy",
    "file.npy",
    "a shape that takes an expression long",
    npy(`{'shape'${" ".repeat(9000)}x`, Buffer.alloc(0)),
  ),
  {
    kind: "npy",
    name: "file.npy",
    what: "4 MB in columns",
    bytes: npy(header("<u2", "(1000, 2, 1000)", "True"), Buffer.alloc(4_000_000)),
    wanted: "ok",
  },
  {
    kind: "npz",
    name: "file.npz",
    what: "a file a thousandth of its array",
    bytes: writeZip([
      { name: "a.npy", data: npy(header("|u1", `(${ZEROS},)`), Buffer.alloc(ZEROS)), deflate: true },
    ]),
    wanted: "ok",
  },
  refusedData(
    "npz",
    "file.npz",
    "an archive in an archive in …",
    writeZip([{ name: "a.npy", data: writeZip([{ name: "a.npy", data: Buffer.from("PK") }]) }]),
  ),
  refusedData(
    "npz",
    "file.npz",
    "a member that never ends",
    writeZip([{ name: "a.npy", data: deflateRawSync(Buffer.alloc(100)), claim: 10 }]),
  ),
  refusedData(
    "npz",
    "file.npz",
    "65,535 members of no bytes",
    writeZip(Array.from({ length: 65_535 }, (_, i) => ({ name: `${i}.npy`, data: Buffer.alloc(0) }))),
  ),
  ...["file", "../file", "/etc/passwd", "a\\..\\b", "__proto__", "x".repeat(60_000)].map(
    (name): Attack => ({
      kind: "npz",
      name: "file.npz",
      what: `a member named ${name.slice(0, 20)}`,
      bytes: writeZip([{ name: `${name}.npy`, data: npy(header("<f4", "(4,)"), Buffer.alloc(16)) }]),
      wanted: ["ok", "ERR_DATA_FILE"],
    }),
  ),
  {
    kind: "safetensors",
    name: "f.safetensors",
    what: "200,000 names",
    bytes: safetensors(
      many(200_000, (i) => [`name ${i}`, tensor([1], [4 * i, 4 * i + 4])]),
      Buffer.alloc(800_000),
    ),
    wanted: "ERR_DATA_KEYS",
  },
  {
    kind: "safetensors",
    name: "f.safetensors",
    what: "names of 1 MB",
    bytes: safetensors(
      many(3, (i) => [`${i}${"x".repeat(1e6)}`, tensor([0], [0, 0])]),
      Buffer.alloc(0),
    ),
    wanted: "ERR_DATA_KEYS",
  },
  refusedData(
    "safetensors",
    "f.safetensors",
    "a tensor of 2^53 elements of nothing",
    safetensors({ a: tensor([0, 2 ** 53], [0, 0]) }, Buffer.alloc(0)),
  ),
  refusedData(
    "safetensors",
    "f.safetensors",
    "tensors that share bytes",
    safetensors({ a: tensor([4], [0, 16]), b: tensor([4], [0, 16]) }, Buffer.alloc(16)),
  ),
  refusedData(
    "safetensors",
    "f.safetensors",
    "a deep shape",
    safetensors(`{"a":{"dtype":"F32","shape":${"[".repeat(1e6)}`, Buffer.alloc(0)),
  ),
  refusedData(
    "safetensors",
    "f.safetensors",
    "a million commas",
    safetensors(`{${",".repeat(1e6)}}`, Buffer.alloc(0)),
  ),
];

/** Values of JSON in the place of a file's whole. */
const DOCUMENTS = [
  "",
  "null",
  "[]",
  "5",
  '"x"',
  "{",
  "{}",
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  "[".repeat(1e6),
  `${'{"a":'.repeat(1e5)}1${"}".repeat(1e5)}`,
  `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":${i}`).join(",")}}`,
  `{"a":"${"x".repeat(5e6)}"}`,
  '{"a":1e999}',
  "\ufeff{}",
  "{'a':1}",
  '{"a":1,}',
  "/*{}*/",
];
const SETTINGS = [
  ...["*?".repeat(400), `${"*a".repeat(400)}b`, "{a,b}".repeat(150), "x".repeat(5000)].map((glob) => ({
    modeOptions: { include: [glob] },
  })),
  { modeOptions: { minWidth: { ["*?".repeat(400)]: 5 } } },
  ...[null, -1, 1e300, "", "/dev/zero", ["/dev/zero"], {}, [[[]]], { length: -1 }].flatMap((value) =>
    [
      "data",
      "constraints",
      "searcher",
      "batchSize",
      "output",
      "checkpoint",
      "set",
      "outputKey",
      "images",
      "seed",
      "input",
    ].map((key) => ({
      [key]: value,
    })),
  ),
];

export function documents(bases: string): Attack[] {
  const latency = JSON.parse(readFileSync(path.join(bases, "latency.json"), "utf8")) as Record<
    string,
    unknown
  >;
  const refused = {
    settings: ["ok", "ERR_CLI_OPTION"],
    config: ["ok", "ERR_CLI_OPTION", "ERR_UNKNOWN_HYPERPARAMETER", "ERR_CHOICE", "ERR_ARGUMENT"],
    latency: ["ok", "ERR_LATENCY_TABLE", "ERR_LATENCY_TABLE_INCOMPLETE", "ERR_FILE_READ"],
  } as const;
  const row = (kind: keyof typeof refused, text: string): Attack => ({
    kind,
    name: "file.json",
    what: text.slice(0, 60),
    bytes: Buffer.from(text),
    wanted: refused[kind],
  });
  return [
    ...(Object.keys(refused) as (keyof typeof refused)[]).flatMap((kind) =>
      DOCUMENTS.map((text) => row(kind, text)),
    ),
    ...SETTINGS.map((value) => row("settings", JSON.stringify(value))),
    ...Object.keys(latency).flatMap((key) =>
      [null, -1, "x", [], {}, [null], [[1e300]]].map((value) =>
        row("latency", JSON.stringify({ ...latency, [key]: value })),
      ),
    ),
  ];
}

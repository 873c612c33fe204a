/** Checkpoints of searches and trainings that were forged, with the digest that belongs to what they say. */
import { readFileSync } from "node:fs";
import path from "node:path";

import type { BASES } from "../kinds";
import { safetensors, takeApart } from "../mutations/arrays";
import { forgedBy } from "../mutations/checkpoint";
import type { Attack } from "./attack";

type Kind = "checkpoint" | "training";
const BASE: Readonly<Record<Kind, (typeof BASES)[number]>> = {
  checkpoint: "search.safetensors",
  training: "training.safetensors",
};

/** Values that a field of JSON may be forged to. */
const VALUES = [
  "null",
  "5",
  '""',
  "[]",
  "{}",
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  "[".repeat(100_000),
  `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`,
  `[${"0,".repeat(300_000)}0]`,
  '"',
  "1e999",
  "NaN",
];

const REFUSED = [
  "ERR_CHECKPOINT_CORRUPT",
  "ERR_CHECKPOINT_MODEL",
  "ERR_CHECKPOINT_VERSION",
  "ERR_CHECKPOINT_KEYS",
  "ERR_CHECKPOINT_OPTIONS",
  "ERR_CHECKPOINT_READ",
  "ERR_REPORT_STATE",
  "ERR_STATE_VALUE",
];

function ofKind(kind: Kind, base: Buffer): Attack[] {
  const row = (what: string, bytes: Buffer, wanted: readonly string[]): Attack => ({
    kind,
    name: `file${path.extname(BASE[kind])}`,
    what,
    bytes,
    wanted,
  });
  const metadata = (JSON.parse(takeApart(base).header) as { __metadata__: Record<string, string> })
    .__metadata__;
  const fields = Object.keys(metadata).filter((key) => !/digest/.test(key));
  const forged = (what: string, edit: (metadata: Record<string, string>) => void): Attack =>
    row(what, forgedBy(base, edit), ["ok", ...REFUSED]);
  const state = (what: string, edit: (value: Record<string, unknown>) => void): Attack =>
    forged(`state: ${what}`, (all) => {
      const value = JSON.parse(all.state ?? "{}") as Record<string, unknown>;
      edit(value);
      all.state = JSON.stringify(value);
    });
  const stateKeys = Object.keys(JSON.parse(metadata.state ?? "{}") as object);
  return [
    ...fields.flatMap((field) =>
      VALUES.map((value) =>
        forged(`${field} is ${value.slice(0, 40)}`, (all) => {
          all[field] = value;
        }),
      ),
    ),
    ...fields.map((field) =>
      forged(`without ${field}`, (all) => {
        delete all[field];
      }),
    ),
    ...stateKeys.flatMap((key) =>
      [null, -1, 1e300, "x", [], {}, [[[]]], { $tensor: "nope" }].map((value) =>
        state(`${key} is ${JSON.stringify(value)}`, (all) => {
          all[key] = value;
        }),
      ),
    ),
    ...["0", "-1", "2", "99", "1e9", "x", "1.5"].map((version) =>
      forged(`version ${version}`, (all) => {
        all.format_version = version;
      }),
    ),
    forged("of another program", (all) => {
      all.format = "someone-else";
    }),
    row("no metadata", safetensors({}, Buffer.alloc(0)), REFUSED),
    row(
      "100,000 fields",
      safetensors(
        { __metadata__: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, "v"])) },
        Buffer.alloc(0),
      ),
      REFUSED,
    ),
    row(
      "100,000 tensors",
      safetensors(
        Object.fromEntries(
          Array.from({ length: 100_000 }, (_, i) => [
            `k${i}`,
            { dtype: "F32", shape: [0], data_offsets: [0, 0] },
          ]),
        ),
        Buffer.alloc(0),
      ),
      REFUSED,
    ),
  ];
}

export const checkpoints = (bases: string): Attack[] =>
  (["checkpoint", "training"] as const).flatMap((kind) =>
    ofKind(kind, readFileSync(path.join(bases, BASE[kind]))),
  );

/** TorchScript archives that are taken apart and put together again, to make hostile ones of good ones. */
import { readFileSync, writeFileSync } from "node:fs";

import { strFromU8, strToU8, unzipSync, type Zippable, zipSync } from "fflate";

/** Records by name, without the archive's own folder, in their order. */
export type Records = Map<string, Uint8Array>;

/** The records of an archive. */
export function readArchive(file: string): Records {
  const entries = Object.entries(unzipSync(readFileSync(file)));
  return new Map(entries.map(([name, data]) => [name.slice(name.indexOf("/") + 1), data]));
}

/** Writes an archive whose records are all stored, or all deflated, in the folder `model`. */
export function writeArchive(file: string, records: Records, level: 0 | 9 = 0): void {
  const entries: Zippable = {};
  for (const [name, data] of records) entries[`model/${name}`] = data;
  writeFileSync(file, zipSync(entries, { level }));
}

/** The code of the module's class. */
export function codeOf(records: Records): string {
  const code = records.get("code/__torch__.py");
  if (code === undefined) throw new Error("no code/__torch__.py");
  return strFromU8(code);
}

/** A copy with other code. */
export function withCode(records: Records, code: string): Records {
  return new Map(records).set("code/__torch__.py", strToU8(code));
}

/** A copy in which `forward` has another body; lines without their indentation. */
export function withForward(records: Records, ...body: string[]): Records {
  const code = codeOf(records);
  const start = code.indexOf("  def forward");
  const name = /class (\w+)\(Module\)/.exec(code)?.[1];
  const head = `  def forward(self: __torch__.${name},\n    x: Tensor) -> Tensor:\n`;
  return withCode(records, `${code.slice(0, start)}${head}${body.map((line) => `    ${line}\n`).join("")}`);
}

// Writes the result of a benchmark between its markers in a page: `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { root } from "../../scripts/lib/run.mjs";
import { wrapped } from "../../scripts/lib/wrap.mjs";

/** What benchmarks make on demand (models, data, raw results); git does not see it. */
export const scratch = path.join(root, ".bench");

/** Puts `text` between the markers of `name` in a page of docs/. */
export function writeSection(page, name, text) {
  const file = path.join(root, "docs", page);
  const content = readFileSync(file, "utf8");
  const [begin, end] = ["begin", "end"].map((mark) => `<!-- ${name}: ${mark} -->`);
  const [start, stop] = [content.indexOf(begin), content.indexOf(end)];
  if (start < 0 || stop < start)
    throw new Error(`docs/${page} has no markers ${begin} and ${end} in this order`);
  writeFileSync(file, `${content.slice(0, start + begin.length)}\n${wrapped(text)}\n${content.slice(stop)}`);
}

/** Keeps the data of a table. */
export function keepRaw(name, data) {
  const folder = path.join(scratch, "results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, `${name}.json`), `${JSON.stringify(data, null, 1)}\n`);
}

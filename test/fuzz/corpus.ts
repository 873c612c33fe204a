/** The corpus: files that were faults once. `index.txt` has a line for each: the file, its kind, and what it is. */
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { root } from "../support/zoo";
import type { Sample } from "./kinds";

const folder = path.join(root, "test", "fuzz", "corpus");
const index = path.join(folder, "index.txt");

export interface CorpusEntry {
  kind: string;
  sample: Sample;
}

/** All of it. @throws where a line and the files disagree */
export function readCorpus(): CorpusEntry[] {
  return readFileSync(index, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [file, kind, shapes, ...what] = line.split(" ");
      if (file === undefined || kind === undefined || shapes === undefined || what.length === 0)
        throw new Error(`${index}: not "file kind shapes what": ${line}`);
      const bytes = readFileSync(path.join(folder, file));
      const sample = { name: file, bytes, what: what.join(" "), shapes: shapes === "-" ? "" : shapes };
      return { kind, sample };
    });
}

/** Adds a file. Its name. */
export function addToCorpus(kind: string, { name, bytes, what, shapes }: Sample, fault: string): string {
  const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  const file = `${kind}-${digest}${path.extname(name)}`;
  writeFileSync(path.join(folder, file), bytes);
  const [line] = fault.split("\n");
  appendFileSync(index, `${file} ${kind} ${shapes || "-"} ${what}: ${line}\n`);
  return file;
}

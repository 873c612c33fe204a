/**
 * Everything that writes a file writes it while one call fails: for each kind of call its first, its second, and so on,
 * until none is left to fail. Prints a line of JSON for each target. Runs under faults.cpp.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import { convert, LatencyTable, Module, TorchSearchError } from "../../lib";
import { writeReport } from "../../lib/entries/report";
import { digitsInput, smallSearch, smallTraining } from "../support/small-runs";

const [fixtures, scratch] = process.argv.slice(2) as [string, string];
const hit = path.join(scratch, "hit");
const folder = path.join(scratch, "target");

export interface Tried {
  target: string;
  /** Calls that failed, by kind. */
  failed: Record<string, number>;
  /** What went wrong, in words. */
  faults: string[];
}

interface Target {
  file: string;
  /** Writes the earlier file; without it, `write` does. */
  prepare?(file: string): Promise<void>;
  /** Writes the file while a call fails. */
  write(file: string): Promise<void>;
  /** Reads a file that is whole. */
  read(file: string): Promise<void>;
}

const KINDS = ["open", "write", "full", "fsync", "rename", "read", "storage", "object"];
/** Allocations are many: beyond these, only one of so many fails. */
const DENSE = 40;

async function targets(): Promise<Record<string, Target>> {
  const cnn = path.join(fixtures, "digits_cnn.pt");
  const module = await Module.load(cnn);
  const space = await convert(module, "fastnas", digitsInput());
  const table = new LatencyTable({ device: "cpu", threads: 1, torch: "2.13.0", hardware: "a processor" });
  table.add("aten::relu(float[a])", [64], 0.5);
  const search = (checkpoint: string) => smallSearch(space, checkpoint, 3);
  const searched = path.join(scratch, "searched.safetensors");
  await search(searched);
  return {
    "a model": {
      file: "model.pt",
      write: (file) => module.save(file),
      read: async (file) => (await Module.load(file)).close(),
    },
    "a search's checkpoint": { file: "search.safetensors", write: search, read: search },
    "a training's checkpoint": {
      file: "training.safetensors",
      prepare: (file) => smallTraining(fixtures, file, { untilSaved: true }),
      write: (file) => smallTraining(fixtures, file),
      read: (file) => smallTraining(fixtures, file),
    },
    "a latency table": {
      file: "latency.json",
      write: (file) => table.save(file),
      read: async (file) => void (await LatencyTable.load(file)),
    },
    "a report": {
      file: "report.html",
      write: (file) => writeReport(searched, file),
      read: async (file) => {
        if (!readFileSync(file, "utf8").trimEnd().endsWith("</html>")) throw new Error("the page is cut off");
      },
    },
  };
}

async function withFault(kind: string, number: number, run: () => Promise<void>): Promise<unknown> {
  rmSync(hit, { force: true });
  process.env.TORCHSEARCH_FAULT = `${kind} ${number} ${folder} ${hit}`;
  try {
    await run();
    return null;
  } catch (error) {
    return error;
  } finally {
    process.env.TORCHSEARCH_FAULT = "";
  }
}

/** One call fails. False when there was no such call. */
async function tryOne(target: Target, kind: string, number: number, faults: string[]): Promise<boolean> {
  const file = path.join(folder, target.file);
  const before = readFileSync(file);
  const error = await withFault(kind, number, () => target.write(file));
  if (!existsSync(hit)) {
    writeFileSync(file, before);
    return false;
  }
  const say = (what: string): void => void faults.push(`${kind} ${number}: ${what}`);
  if (error !== null && !(error instanceof TorchSearchError)) say(`a plain error: ${(error as Error).stack}`);
  // A checkpoint's earlier generation is kept on purpose.
  rmSync(`${file}.previous`, { force: true });
  const strays = readdirSync(folder).filter((name) => name !== target.file);
  if (strays.length > 0) say(`left ${strays.join(", ")}`);
  for (const stray of strays) rmSync(path.join(folder, stray));
  if (!existsSync(file)) say("the file is gone");
  else if (!readFileSync(file).equals(before))
    await target.read(file).catch((damage) => say(`the file is damaged: ${damage}`));
  writeFileSync(file, before);
  return true;
}

async function main(): Promise<void> {
  for (const [name, target] of Object.entries(await targets())) {
    const tried: Tried = { target: name, failed: {}, faults: [] };
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    await (target.prepare ?? target.write)(path.join(folder, target.file));
    for (const kind of KINDS) {
      tried.failed[kind] = 0;
      for (let number = 1; await tryOne(target, kind, number, tried.faults); ) {
        tried.failed[kind] += 1;
        number += number < DENSE ? 1 : Math.ceil(number / 4);
      }
    }
    process.stdout.write(`${JSON.stringify(tried)}\n`);
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});

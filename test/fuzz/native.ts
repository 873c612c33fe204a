/**
 * `node native.cjs PROGRAM N`: the native core, instrumented by sanitizers, reads N mutated models, as many exported
 * programs, and the corpus. Exit code 1 when a file ended the program or a sanitizer had something to say.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { readCorpus } from "./corpus";
import { fixtures, KINDS, MODELS, type Sample } from "./kinds";
import { LineProcess } from "./line-process";

/** A model's loop may count to 10^12: that is no fault, and nothing aborts it here. */
const LIMIT_MS = 60_000;
/** A leak shows when a process ends. */
const FILES_PER_PROCESS = 100;

/** Sound files, and the shapes of their inputs; an exported program has its own. */
const SOUND = { ...MODELS, "exported/tiny.pt2": "" };
const NATIVE_KINDS = ["model", "exported"];

async function main(): Promise<void> {
  const [program, count] = process.argv.slice(2) as [string, string];
  const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-native-"));
  const child = new LineProcess({
    command: program,
    args: [],
    cwd: folder,
    env: process.env,
    limitMs: LIMIT_MS,
  });
  const faults: string[] = [];
  const outcomes = new Map<string, number>();
  let files = 0;

  const finish = async (): Promise<void> => {
    const end = await child.finish();
    if (end !== null && (end.code !== 0 || end.signal !== null)) faults.push(`at the end: ${end.stderr}`);
  };
  const read = async ({ name, bytes, what, shapes = "" }: Sample): Promise<Record<string, string>> => {
    const file = path.join(folder, name);
    writeFileSync(file, bytes);
    const reply = await child.ask(`${file}\t${shapes}`);
    const steps = "line" in reply ? (JSON.parse(reply.line) as Record<string, string>) : {};
    const outcome = Object.values(steps).at(-1) ?? ("hangs" in reply ? "hangs" : "ended");
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if ("ended" in reply) faults.push(`${what}: ${reply.ended}\n${reply.stderr}`);
    files += 1;
    if (files % FILES_PER_PROCESS === 0) await finish();
    return steps;
  };
  try {
    // Sound ones first: a program that refuses everything would find nothing.
    for (const [name, shapes] of Object.entries(SOUND)) {
      const bytes = readFileSync(path.join(fixtures, name));
      const steps = await read({ name: path.basename(name), bytes, what: name, shapes });
      if (steps.load !== "ok" || steps.forward !== "ok") faults.push(`a sound model is refused: ${name}`);
    }
    for (const { kind, sample } of readCorpus()) if (NATIVE_KINDS.includes(kind)) await read(sample);
    for (const kind of NATIVE_KINDS) {
      const { make } = KINDS[kind] as (typeof KINDS)[string];
      for (let seed = 1; seed <= Number(count); seed++) await read(make(seed, ""));
    }
    await finish();
  } finally {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  process.stderr.write(`${files} mutated files, ${faults.length} faults: ${JSON.stringify([...outcomes])}\n`);
  if (faults.length > 0) process.exitCode = 1;
}

void main();

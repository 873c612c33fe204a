/**
 * The fuzzer's child. Each line of standard input is a file to read; each answer is a line of standard output. Whoever
 * writes the lines knows which one ended the process.
 */
import { createInterface } from "node:readline";

import { TorchSearchError } from "../../lib";
import { makeBases, READERS, type Step } from "./reader";

/** A file to read; or, without a kind, the folder for the bases. */
export interface Request {
  kind: string | null;
  file: string;
  shapes: string;
}

/** What came of a file. */
export interface Answer {
  /** By step: "ok", what the step gave if that is text, or the code of the error. */
  steps: Record<string, string>;
  /** What no file may do to the process, in words. */
  faults: string[];
  /** Something still computes, so that later calls would find it busy. */
  busy: boolean;
}

const STILL_RUNNING = new Set(["ERR_TIMEOUT", "ERR_BUSY", "ERR_ABORTED"]);
const unhandled: unknown[] = [];
process.on("unhandledRejection", (error) => unhandled.push(error));
process.on("warning", () => {});

async function read({ kind, file, shapes }: Request): Promise<Answer> {
  const answer: Answer = { steps: {}, faults: [], busy: false };
  const step: Step = async (name, run) => {
    try {
      const result = await run();
      answer.steps[name] = typeof result === "string" ? result : "ok";
      return result;
    } catch (error) {
      const code = error instanceof TorchSearchError ? error.code : "plain error";
      answer.steps[name] = code;
      if (code === "plain error")
        answer.faults.push(`${name}: a plain error: ${(error as Error)?.stack ?? error}`);
      answer.busy ||= STILL_RUNNING.has(code);
      return undefined;
    }
  };
  if (kind === null) await step("make", () => makeBases(file));
  else await (READERS[kind] as (typeof READERS)[string])(file, step, shapes);
  await new Promise((resolve) => setImmediate(resolve));
  for (const error of unhandled.splice(0)) answer.faults.push(`an unhandled rejection: ${String(error)}`);
  if (Reflect.ownKeys(Object.prototype).length !== OWN_KEYS)
    answer.faults.push("Object.prototype was changed");
  return answer;
}

const OWN_KEYS = Reflect.ownKeys(Object.prototype).length;

async function main(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await read(JSON.parse(line) as Request);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

void main();

/** What Python's own loader, verifier, autograd and exporters say of exported programs that the library wrote. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

import { type Input, Module, Tensor } from "../../lib";
import { at, scratch } from "./exported";
import { python, root } from "./zoo";

/** Inputs of one forward. */
export interface Run {
  args: Input[];
  kwargs: Record<string, Input>;
}
export interface Verdict {
  /** "ok" or the error, by step of scripts/fixtures/exported_verdict.py. */
  steps: Record<string, string>;
  names: string[];
  stacks: Record<string, string>;
  dynamic: string[];
}

/** The steps of a program that passes all of them. */
export function passed({ steps }: Verdict): Record<string, string> {
  return Object.fromEntries(Object.keys(steps).map((step) => [step, "ok"]));
}

/** Tensors as exported_verdict.py reads them. */
function plain(value: unknown): unknown {
  if (value instanceof Tensor) {
    const values = ([value.toArray()] as unknown[])
      .flat(16)
      .map((each) => (typeof each === "bigint" ? Number(each) : each));
    return { dtype: value.dtype, shape: value.shape, values };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return typeof value === "bigint" ? Number(value) : (value ?? null);
}

/** Writes down what the model of this file gives for some inputs, for {@link verdictsOf}. */
export async function describeRuns(name: string, file: string, runs: Run[]): Promise<void> {
  const described = [];
  for (const { args, kwargs } of runs) {
    // A program that changes its buffers begins with those of its file each time.
    using fresh = await Module.load(file);
    described.push(plain({ args, kwargs, outputs: await fresh.forwardWith(args, kwargs) }));
  }
  writeFileSync(at(`${name}.runs.json`), JSON.stringify(described));
}

/** What Python says of NAME.pt2, by name; {@link describeRuns} comes first. */
export async function verdictsOf(names: readonly string[]): Promise<Record<string, Verdict>> {
  const script = path.join(root, "scripts", "fixtures", "exported_verdict.py");
  const { stdout } = await promisify(execFile)(python, [script, scratch, ...names], { maxBuffer: 1 << 26 });
  return JSON.parse(stdout.slice(stdout.lastIndexOf("\n{") + 1)) as Record<string, Verdict>;
}

/** What Python says of NAME.pt2, of which the model in `file` gives the outputs. */
export async function verdictOf(name: string, file: string, runs: Run[]): Promise<Verdict> {
  await describeRuns(name, file, runs);
  return (await verdictsOf([name]))[name] as Verdict;
}

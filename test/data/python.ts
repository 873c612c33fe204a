import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";

const local = path.join(__dirname, "../../.torch/bin/python");

/** The Python with torch, numpy and safetensors that serves as the independent source of expected values. */
export const python = process.env.TORCHSEARCH_PYTHON ?? (existsSync(local) ? local : "python3");

/** Runs a script and gives what it printed, read as JSON. */
export function runPython<T>(script: string, ...args: string[]): T {
  const output = execFileSync(python, ["-c", script, ...args], { encoding: "utf8", maxBuffer: 1 << 28 });
  return (output.trim() === "" ? null : JSON.parse(output)) as T;
}

/** Reference models, made on demand by scripts/fixtures/architectures.py and kept in .zoo. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";

export const root = path.resolve(__dirname, "..", "..");
export const python = process.env.TORCHSEARCH_PYTHON ?? path.join(root, ".torch", "bin", "python3");

export type Form = "scripted" | "traced";

/** The file of a model, written first if need be. */
export function zooModel(name: string, form: Form): string {
  const folder = path.join(root, ".zoo");
  const file = path.join(folder, `${name.replace("/", "__")}.${form}.pt`);
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    const script = path.join(root, "scripts", "fixtures", "architectures.py");
    execFileSync(python, [script, "--out", folder, `${name}:${form}`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
  }
  return file;
}

/** What PyTorch's FlopCounterMode counts (scripts/fixtures/flops_oracle.py). */
export interface FlopsEntry {
  input: number[];
  params: number;
  flops: number;
  /** Flops by module path, without those of its children. */
  modules: Record<string, number>;
  published?: { weights: string; crop: number; gmacs: number; params: number; flops: number }[];
}

/** The oracle's figures for a model. */
export function flopsOracle(name: string): FlopsEntry {
  const oracle = JSON.parse(readFileSync(path.join(root, "test", "oracle", "flops.json"), "utf8")) as {
    models: Record<string, FlopsEntry>;
  };
  const entry = oracle.models[name];
  if (entry === undefined) throw new Error(`test/oracle/flops.json has no ${name}`);
  return entry;
}

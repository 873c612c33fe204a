/** Every example of examples/ runs, and prints what it promises. Those of examples/searchers have a test of their own. Needs dist/. */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

import { type Tensor, TensorDataLoader } from "../../lib";
import { numbersOf } from "../support/tensors";
import { root } from "../support/zoo";

const folder = path.join(root, "examples");

/** Examples that other tests run. */
const ELSEWHERE = ["modes.mjs", "quantization.mjs", "supernet.mjs"];

async function run(file: string, ...args: string[]): Promise<(pattern: RegExp) => number> {
  const cwd = mkdtempSync(path.join(os.tmpdir(), "torchsearch-example-"));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [path.join(folder, file), ...args], {
      cwd,
      env: { ...process.env, OMP_NUM_THREADS: "1" },
    });
    return (pattern) => {
      const found = pattern.exec(stdout)?.[1];
      if (found === undefined) throw new Error(`${pattern} is not in\n${stdout}`);
      return Number(found);
    };
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

const CHECKS: Readonly<Record<string, () => Promise<void>>> = {
  "study.mjs": async () => {
    const number = await run("study.mjs", "study.safetensors", "15");
    expect(number(/^FLOPs: ([\d.]+) %/m)).toBeLessThanOrEqual(60);
    expect(number(/^FLOPs: ([\d.]+) %/m)).toBeGreaterThan(40);
  },
  "serve.mjs": async () => {
    const server = spawn(
      process.execPath,
      [path.join(folder, "serve.mjs"), path.join(root, "test/fixtures/digits_cnn.pt"), "0"],
      {
        env: { ...process.env, OMP_NUM_THREADS: "1" },
      },
    );
    try {
      const port = await new Promise<string>((resolve, reject) => {
        server.stdout.once("data", (text: Buffer) => resolve(/port (\d+)/.exec(text.toString())?.[1] ?? ""));
        server.once("exit", () => reject(new Error("the server ended")));
      });
      const loader = await TensorDataLoader.fromNpz(path.join(root, "test/fixtures/digits.npz"), {
        keys: ["test_images", "test_labels"],
        batchSize: 100,
      });
      const batch = [...loader][0] as unknown as Record<string, Tensor>;
      const pixels = numbersOf(batch.test_images as Tensor) as number[];
      const labels = numbersOf(batch.test_labels as Tensor) as number[];
      const ask = (body: string) => fetch(`http://127.0.0.1:${port}`, { method: "POST", body });
      const answers = await Promise.all(
        labels.map(async (_, at) => {
          const response = await ask(JSON.stringify({ image: pixels.slice(64 * at, 64 * at + 64) }));
          return (await response.json()) as { digit: number; together: number };
        }),
      );
      const right = answers.filter(({ digit }, at) => digit === labels[at]).length;
      expect(right).toBeGreaterThan(95);
      expect(Math.max(...answers.map(({ together }) => together))).toBeGreaterThan(1);
      for (const bad of ["{", '{"image": [1]}', JSON.stringify({ image: "x".repeat(200_000) })])
        expect((await ask(bad)).status).toBe(400);
    } finally {
      server.kill();
    }
  },
  "compress.mjs": async () => {
    const number = await run("compress.mjs");
    expect(number(/^FLOPs: ([\d.]+) %/m)).toBeLessThanOrEqual(60);
    expect(number(/^Accuracy: ([\d.]+) %/m)).toBeGreaterThan(90);
  },
  "distributed.mjs": async () => {
    const [one, two] = [await run("distributed.mjs", "1"), await run("distributed.mjs", "2")];
    expect(two(/^Processes: (\d)/m)).toBe(2);
    for (const what of [/^Best score: (\S+)/m, /^Loss of training: (\S+)/m])
      expect(two(what)).toBe(one(what));
  },
  "digits.mjs": async () => {
    const number = await run("digits.mjs");
    // The fourth number of a row is what is left.
    const left = (what: string) => number(new RegExp(`^${what}.* ([\\d.]+) %$`, "m"));
    expect(left("FLOPs")).toBeLessThanOrEqual(60);
    expect(left("FLOPs")).toBeGreaterThan(50);
    expect(left("parameters")).toBeLessThan(100);
    expect(left("file size")).toBeLessThan(100);
    expect(left("accuracy")).toBeGreaterThan(97);
  },
  "device.mjs": async () => {
    const number = await run("device.mjs", "cpu");
    expect(number(/^launched on cpu: accuracy ([\d.]+) %/m)).toBeGreaterThan(97);
    expect(number(/, (\d+) images a second$/m)).toBeGreaterThan(0);
    await run("device.mjs"); // cuda:0, or the CPU in its place
  },
  "latency.mjs": async () => {
    const number = await run("latency.mjs");
    const full = number(/^full model: ([\d.]+) ms by the table/m);
    expect(number(/^subnet: +([\d.]+) ms by the table/m)).toBeLessThanOrEqual(0.6 * full * 1.001);
  },
  "hyperparameters.mjs": async () => {
    const number = await run("hyperparameters.mjs");
    expect(number(/^FLOPs: ([\d.]+) %/m)).toBeLessThanOrEqual(90);
    expect(number(/^bits: ([\d.]+) %/m)).toBeLessThanOrEqual(10);
    const before = number(/^accuracy: ([\d.]+) % before/m);
    expect(number(/^accuracy: .* before, ([\d.]+) % after/m)).toBeGreaterThan(before - 10);
    expect([0.125, 0.25, 0.375]).toContain(number(/^scale of attention: ([\d.]+) /m));
  },
  "finetune.mjs": async () => {
    const number = await run("finetune.mjs");
    expect(number(/^FLOPs: ([\d.]+) %/m)).toBeLessThanOrEqual(50);
    const pruned = number(/held-out images, subnet: ([\d.]+) %/);
    expect(number(/after two epochs: ([\d.]+) %/)).toBeGreaterThanOrEqual(pruned);
    expect(number(/after two epochs: ([\d.]+) %/)).toBeGreaterThan(95);
  },
  "sparsity.mjs": async () => {
    const number = await run("sparsity.mjs");
    const dense = number(/^Dense: ([\d.]+) %/m);
    for (const mode of ["sparse_magnitude", "sparsegpt"]) {
      const line = (rest: string) => number(new RegExp(`^${mode}: ${rest}`, "m"));
      expect(line("[\\d.]+ %, ([\\d.]+) % of the layers' weights stay")).toBe(50);
      expect(line("([\\d.]+) %")).toBeGreaterThan(dense - 10);
      expect(number(new RegExp(`^${mode}: [^]*?saved and loaded: (\\d+) masks`, "m"))).toBeGreaterThan(10);
    }
    const off = (mode: string) => number(new RegExp(`^${mode}: .*off by ([\\d.]+) %`, "m"));
    // What SparseGPT is for.
    expect(off("sparsegpt")).toBeLessThan(off("sparse_magnitude"));
  },
};

it("there is a test for each", () => {
  const files = readdirSync(folder).filter((file) => file.endsWith(".mjs"));
  expect(files.sort()).toEqual([...Object.keys(CHECKS), ...ELSEWHERE].sort());
});

it.each(Object.keys(CHECKS))("%s", { timeout: 300_000 }, (file) => (CHECKS[file] as () => Promise<void>)());

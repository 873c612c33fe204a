import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Module } from "../../lib/model/module";
import { Tensor } from "../../lib/model/tensor";
import { formatProfile } from "../../lib/profile/format";
import { profile } from "../../lib/profile/profile";
import type { Profile } from "../../lib/profile/types";
import { type Form, flopsOracle, root, zooModel } from "../support/zoo";

const MODELS = [
  "resnet18",
  "mobilenet_v2",
  "densenet121",
  "efficientnet_b0",
  "vit_b_16",
  "swin_t",
  "convnext_tiny",
];
const STATIC = ["params", "macs", "flops", "size"] as const;
const digits = path.join(root, "test", "fixtures", "digits_resnet.pt");

function zeros(shape: number[]): Tensor {
  return Tensor.from(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
}

async function profileZoo(name: string, form: Form): Promise<Profile> {
  const module = await Module.load(zooModel(name, form));
  try {
    return await profile(module, zeros(flopsOracle(name).input), { metrics: STATIC });
  } finally {
    module.close();
  }
}

describe.each(MODELS)("profile of torchvision's %s", (name) => {
  it.each(["scripted", "traced"] as const)(
    "%s: flops are FlopCounterMode's, parameters the published ones",
    async (form) => {
      const result = await profileZoo(name, form);
      const expected = flopsOracle(name);
      expect(result.flops).toBe(expected.flops);
      expect(result.macs * 2).toBe(result.flops);
      expect(result.params).toBe(expected.params);
      // Weights for another image size may be of another size themselves (position embeddings).
      const published = (expected.published ?? []).filter(({ crop }) => crop === expected.input.at(-1));
      expect(published.length).toBeGreaterThan(0);
      for (const { params, gmacs } of published) {
        expect(result.params).toBe(params);
        expect(Math.abs(result.macs / 1e9 - gmacs)).toBeLessThan(0.001);
      }
      expect(result.operators.reduce((sum, row) => sum + row.flops, 0)).toBe(result.flops);
      expect(result.operators.reduce((sum, row) => sum + row.params, 0)).toBe(result.params);
      expect(result.latency).toBeNull();
      expect(result.size).toBeGreaterThanOrEqual(4 * expected.params);
    },
    300_000,
  );
});

describe("rows", () => {
  it.each(["scripted", "traced"] as const)("of resnet18, %s, have each module's own flops", async (form) => {
    const { operators } = await profileZoo("resnet18", form);
    const byName: Record<string, number> = {};
    for (const { name, flops } of operators) if (flops > 0) byName[name] = (byName[name] ?? 0) + flops;
    expect(byName).toEqual(flopsOracle("resnet18").modules);
    expect(operators.find((row) => row.name === "layer2.0.downsample.0")).toMatchObject({
      op: form === "scripted" ? "aten::conv2d" : "aten::_convolution",
      inputShapes: [
        [1, 64, 56, 56],
        [128, 64, 1, 1],
      ],
      outputShapes: [[1, 128, 28, 28]],
      params: 128 * 64,
      macs: 28 * 28 * 128 * 64,
      latencyMs: null,
    });
  });
});

describe("profile of a small network", () => {
  let module: Module;
  const input = zeros([2, 1, 8, 8]);
  beforeAll(async () => {
    module = await Module.load(digits);
  });
  afterAll(() => module.close());

  it("times whole passes and operators, and says under what", async () => {
    const phases = new Set<string>();
    const result = await profile(module, input, {
      warmup: 2,
      repeats: 7,
      threads: 1,
      onProgress: ({ phase, done, total }) => {
        phases.add(phase);
        expect(done).toBeLessThanOrEqual(total ?? 0);
      },
    });
    const latency = result.latency;
    expect(latency).toMatchObject({ warmup: 2, runs: 7, threads: 1 });
    if (latency === null) throw new Error("unreachable");
    const ascending = [latency.min, latency.p10, latency.p50, latency.p90, latency.p99, latency.max];
    expect([...ascending].sort((a, b) => a - b)).toEqual(ascending);
    expect(latency.min).toBeGreaterThan(0);
    expect(latency.median).toBe(latency.p50);
    expect(result.device).toBe("cpu");
    expect(phases).toContain("operators");
    for (const row of result.operators) expect(row.latencyMs).toBeGreaterThan(0);
    // Timers inside cost a little; an order of magnitude would be a mistake in units.
    const sum = result.operators.reduce((total, row) => total + (row.latencyMs ?? 0), 0);
    expect(sum).toBeGreaterThan(latency.min / 5);
    expect(sum).toBeLessThan(latency.max * 20);
  });

  it("leaves buffers alone, in training mode too", async () => {
    const read = (): number[] =>
      module.namedBuffers().flatMap(({ tensor }) => Array.from(tensor.data() as Float32Array, Number));
    const before = read();
    module.train();
    try {
      await profile(
        module,
        Tensor.from(
          Float32Array.from({ length: 128 }, (_, i) => i),
          [2, 1, 8, 8],
        ),
        { repeats: 2 },
      );
    } finally {
      module.eval();
    }
    expect(read()).toEqual(before);
  });

  it("scales with the batch and prints as a table", async () => {
    const one = await profile(module, zeros([1, 1, 8, 8]), { metrics: STATIC });
    const two = await profile(module, [input, {}], { metrics: STATIC });
    expect(two.macs).toBe(2 * one.macs);
    expect(two.params).toBe(one.params);
    const table = formatProfile(two, { top: 3 });
    const lines = table.split("\n");
    expect(lines[0]).toMatch(/^name +operator +output +params +MACs +FLOPs$/);
    expect(lines.filter((line) => /^\(\d+ others\)/.test(line))).toHaveLength(1);
    expect(table).toMatch(/^total/m);
    expect(table).not.toMatch(/latency|undefined|NaN/);
  });

  it("refuses options, inputs and closed modules with a code", async () => {
    const bad = (options: object): Promise<Profile> => profile(module, input, options);
    await expect(bad({ metrics: ["latncy"] })).rejects.toMatchObject({
      code: "ERR_PROFILE_OPTION",
      message: expect.stringContaining('did you mean "latency"') as string,
    });
    await expect(bad({ repeats: 0 })).rejects.toMatchObject({ code: "ERR_PROFILE_OPTION" });
    await expect(bad({ threads: 1.5 })).rejects.toMatchObject({ code: "ERR_PROFILE_OPTION" });
    await expect(bad({ repeat: 5 })).rejects.toMatchObject({
      code: "ERR_PROFILE_OPTION",
      message: expect.stringContaining('did you mean "repeats"') as string,
    });
    await expect(profile(module, [input, input])).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_INPUT/) as string,
    });
    await expect(profile(module, zeros([2, 3, 8, 8]))).rejects.toMatchObject({ code: "ERR_FORWARD" });
    const closed = await Module.load(digits);
    closed.close();
    await expect(profile(closed, input)).rejects.toMatchObject({ code: "ERR_CLOSED" });
  });

  it("stops when aborted", async () => {
    const controller = new AbortController();
    const running = profile(module, input, {
      repeats: 1_000_000,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(running).rejects.toMatchObject({ code: "ERR_ABORTED" });
  });
});

describe("torchsearch profile", () => {
  const main = path.join(root, "dist", "cli", "main.js");
  const torchsearch = (...args: string[]) =>
    spawnSync(process.execPath, [main, "profile", ...args], { encoding: "utf8" });

  it("prints one JSON document", async () => {
    const { params } = JSON.parse(
      readFileSync(path.join(root, "test", "fixtures", "digits_resnet.json"), "utf8"),
    ) as {
      params: number;
    };
    const output = execFileSync(
      process.execPath,
      [main, "profile", digits, "--input", "1x1x8x8", "--repeats", "3", "--threads", "1", "--json"],
      { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
    );
    const document = JSON.parse(output) as Profile & { model: string };
    expect(document).toMatchObject({ params, model: digits, latency: { runs: 3, threads: 1 } });
    expect(document.flops).toBe(2 * document.macs);
  });

  it("prints a table, and errors on standard error: 2 for a wrong option, 1 for what fails", () => {
    const table = torchsearch(digits, "--input", "1x1x8x8", "--no-latency");
    expect(table.status).toBe(0);
    expect(table.stdout).toMatch(/^name .*\n-/);
    const wrong = torchsearch(digits, "--input", "1*1*8*8");
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain("ERR_INPUT_SPEC");
    expect(wrong.stdout).toBe("");
    const missing = torchsearch("nowhere.pt", "--input", "1x1x8x8");
    expect(missing.status).toBe(1);
    expect(missing.stderr).toContain("ERR_FILE_NOT_FOUND");
  });
});

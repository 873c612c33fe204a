/**
 * Fifteen models of the zoo as TorchScript and twelve as exported programs, end to end, by the command that checks all of
 * them (`npm run zoo`): the file's outputs against eager PyTorch, parameters and FLOPs against FlopCounterMode's, the exported half against the selected one in Python, one
 * training step there.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { flopsOracle, root } from "../support/zoo";

/** A file, and how much of its parameters may remain at half widths: a quarter, and what can't be halved. */
const FILES: [file: string, paramsLeft: number][] = [
  ["resnet18:scripted", 0.27],
  ["mobilenet_v2:scripted", 0.42],
  ["mobilenet_v3_small:traced", 0.4],
  ["shufflenet_v2_x0_5:scripted", 0.5],
  ["squeezenet1_0:traced", 0.4],
  ["efficientnet_b0:scripted", 0.4],
  ["densenet121:traced", 0.35],
  ["googlenet:scripted", 0.35],
  ["regnet_y_400mf:scripted", 0.3],
  ["convnext_tiny:traced", 0.35],
  ["swin_t:scripted", 0.3],
  ["timm/levit_128s:traced", 0.4],
  ["timm/lcnet_050:traced", 0.45],
  ["timm/deit_tiny_patch16_224:scripted", 0.35],
  ["timm/pvt_v2_b0:traced", 0.3],
  ["resnet18:pt2", 0.27],
  ["timm/convnextv2_atto:pt2", 0.3],
  ["timm/edgenext_xx_small:pt2", 0.22],
  ["timm/efficientnet_b0:pt2", 0.34],
  ["timm/fbnetc_100:pt2", 0.37],
  ["timm/ghostnet_100:pt2", 0.34],
  ["timm/lcnet_050:pt2", 0.45],
  ["timm/mnasnet_100:pt2", 0.36],
  ["timm/mobilenetv3_large_100:pt2", 0.34],
  ["timm/mobilenetv4_conv_small:pt2", 0.37],
  ["timm/pvt_v2_b0:pt2", 0.3],
  ["timm/regnetx_004:pt2", 0.25],
];

const STAGES = ["make", "load", "profile", "convert", "prune", "export", "verify", "train"];

interface ZooRecord {
  name: string;
  form: string;
  status: string;
  stages: Record<string, { status: string; code?: string; message?: string }>;
  params: number;
  flops: number;
  costs: Record<"full" | "half", { params: number; macs: number }>;
  relativeDifference: number;
  lossBefore: number;
  lossAfter: number;
}

describe("models of the zoo, halved, exported and verified in Python", () => {
  const records = new Map<string, ZooRecord>();
  let folder: string;

  /** Not synchronously: vitest has to hear from its worker meanwhile. */
  const zoo = (...args: string[]) =>
    promisify(execFile)(
      process.execPath,
      [path.join(root, "scripts", "zoo.mjs"), "--records", path.join(folder, "zoo.jsonl"), ...args],
      { maxBuffer: 2 ** 26 },
    );

  beforeAll(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-zoo-"));
    await zoo(
      ...["--as-built", "--no-report", "--seconds", "300", "--forms", "scripted,traced,pt2"],
      ...FILES.flatMap(([name]) => ["--only", name]),
    );
    for (const line of readFileSync(path.join(folder, "zoo.jsonl"), "utf8").split("\n")) {
      if (line === "") continue;
      const record = JSON.parse(line) as ZooRecord;
      records.set(`${record.name}:${record.form}`, record);
    }
  }, 900_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(FILES)("%s", (file, paramsLeft) => {
    const record = records.get(file);
    if (record === undefined) throw new Error(`${file} has no record`);
    for (const stage of STAGES)
      expect({ stage, ...record.stages[stage] }).toMatchObject({ stage, status: "ok" });
    expect(record.status).toBe("ok");
    const oracle = flopsOracle(record.name);
    expect(record.params).toBe(oracle.params);
    expect(Math.abs(record.flops / oracle.flops - 1)).toBeLessThan(1e-3);
    expect(record.relativeDifference).toBeLessThanOrEqual(1e-5);
    expect(record.lossAfter).toBeLessThan(record.lossBefore);
    expect(record.costs.half.params / record.costs.full.params).toBeLessThanOrEqual(paramsLeft);
  });

  it("goes on where it stopped: what is finished is not run again", async () => {
    const { stdout } = await zoo("--list", "--forms", "scripted,traced,pt2");
    const left = stdout.trim().split("\n");
    for (const [file] of FILES) expect(left).not.toContain(file);
    expect(left).toContain("resnet34:scripted");
    expect(left).toContain("swin_t:traced");
    expect(left).toContain("resnet34:pt2");
  });
});

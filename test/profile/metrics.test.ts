/** The table of metrics is the only list of them: the native side, profiles and spaces know the same names. */
import path from "node:path";
import { describe, expect, it } from "vitest";

import { KNOWN_METRICS } from "../../lib/contract/constraints";
import { convert } from "../../lib/mode/convert";
import { Module } from "../../lib/model/module";
import { Tensor } from "../../lib/model/tensor";
import {
  computedMetricsOf,
  exampleBounds,
  formatCost,
  headingOf,
  isCounted,
  isRelative,
  METRIC_NAMES,
  metricsOf,
  titleOf,
} from "../../lib/profile/metrics";
import { profile } from "../../lib/profile/profile";
import { root } from "../support/zoo";

const load = () => Module.load(path.join(root, "test", "fixtures", "digits_cnn.pt"));
const input = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

describe("the metrics of the table", () => {
  it("are the fields of a profile", async () => {
    const measured = await profile(await load(), input, { warmup: 0, repeats: 1 });
    const about = ["operators", "device", "notes"];
    expect(Object.keys(measured).filter((key) => !about.includes(key))).toEqual([...metricsOf("profile")]);
  });

  it("are the costs that the native side of a space of widths computes", async () => {
    const space = await convert(await load(), "fastnas", input);
    const costs = space.costs(space.fullConfig);
    expect(Object.keys(costs)).toEqual([...computedMetricsOf("widths")]);
    for (const cost of Object.values(costs)) expect(cost).toBeGreaterThan(0);
    // Known by name, though a table is needed first.
    expect(() => space.cost({}, "latency")).toThrow(
      expect.objectContaining({ code: "ERR_NO_LATENCY_TABLE" }),
    );
    space.close();
  });

  it("are the costs of the other spaces", async () => {
    const formats = await convert(await load(), "auto_quantize", input);
    expect(Object.keys(formats.costs(formats.active))).toEqual([...metricsOf("formats")]);
    formats.close();
    const sparse = await convert(await load(), "sparse_magnitude", input, { pattern: "unstructured" });
    expect(Object.keys(sparse.costs({}))).toEqual([...metricsOf("sparsity")]);
    sparse.close();
  });

  it("may be named in constraints where a profile has them", () => {
    expect(KNOWN_METRICS).toEqual(metricsOf("profile"));
  });
});

describe("a metric's facts", () => {
  it("say how it is written", () => {
    expect(METRIC_NAMES.map((name) => [name, headingOf(name), formatCost(name, 1234)])).toEqual([
      ["effectiveBits", "Effective bits", "1234.00"],
      ["density", "Weights kept", "123400.0 %"],
      ["params", "Parameters", "1.234 k"],
      ["macs", "Multiply-adds", "1.234 k"],
      ["flops", "FLOPs", "1.234 k"],
      ["size", "Size", "1.205 KiB"],
      ["memory", "Memory", "1.205 KiB"],
      ["latency", "Latency", "1.234 s"],
    ]);
    expect(METRIC_NAMES.filter(isCounted)).toEqual(["params", "macs", "flops", "size", "memory"]);
    expect(METRIC_NAMES.filter((name) => !isRelative(name))).toEqual(["effectiveBits"]);
    expect(exampleBounds(["formats"])).toEqual(["effectiveBits=6", "size=10MiB"]);
  });

  it("are plain for a metric of the user's own, whatever its name", () => {
    for (const name of ["energy", "constructor", "__proto__"]) {
      expect([titleOf(name), headingOf(name), formatCost(name, 0.5)]).toEqual([name, name, "0.5"]);
      expect(isCounted(name)).toBe(false);
      expect(isRelative(name)).toBe(true);
    }
  });
});

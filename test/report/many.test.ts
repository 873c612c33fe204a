/** Reports of very many candidates: what is drawn stays little, and shows where candidates are and where not. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type ReportData, readReportData, renderReport } from "../../lib/entries/report";
import { drawnOf, frontOf, pointsOf } from "../../lib/report/charts/plane";
import { MOST_MARKS, thinned } from "../../lib/report/charts/thin";
import { Random } from "../../lib/util/random";
import { searched } from "./searches";

const COUNT = 20_000;
let folder: string;
let few: ReportData;
let many: ReportData;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-many-"));
  few = await readReportData(await searched(folder, "EvolveSearcher", 5));
  const random = new Random(0);
  const uniform = (): number => random.uint32() / 2 ** 32;
  const [first] = few.measurements;
  const measurements = Array.from({ length: COUNT }, (_, at) => {
    const cost = uniform();
    const costs = Object.fromEntries(
      Object.entries(few.full.costs).map(([name, value]) => [name, value * cost]),
    );
    return {
      ...(first as NonNullable<typeof first>),
      label: `candidate ${at}`,
      costs,
      score: Math.sqrt(cost) - uniform(),
    };
  });
  many = { ...few, measurements };
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("a report of very many candidates", () => {
  it("draws no more than can be seen, and says so", { timeout: 60_000 }, async () => {
    const text = await renderReport(many);
    const document = parseHTML(text).document as unknown as Document;
    const front = frontOf(pointsOf(many, "macs"));
    for (const [chart, group] of [
      ["plane", "candidates"],
      ["history", "measurements"],
    ]) {
      const drawn = document.querySelectorAll(`svg.${chart} g.${group} > *`).length;
      expect(drawn).toBeGreaterThan(1000);
      expect(drawn).toBeLessThanOrEqual(MOST_MARKS + front.length);
      expect(text).toContain(`${drawn} of ${COUNT} are drawn`);
    }
    expect(text.length).toBeLessThan(3e6);
    const drawn = new Set(drawnOf(many, "macs").map(({ label }) => label));
    for (const { label } of front) expect(drawn.has(label)).toBe(true);
  });

  it("draws every one of few", async () => {
    const text = await renderReport(few);
    expect(text).not.toContain("are drawn");
    expect(drawnOf(few, "macs")).toHaveLength(pointsOf(few, "macs").length);
  });

  it("leaves no point out that has no other near", () => {
    // A dense square, and one point far from it.
    const points = Array.from({ length: 3 * MOST_MARKS }, (_, i) => ({
      x: (i % 100) / 100,
      y: Math.floor(i / 100) / 300,
    }));
    const lonely = { x: 10, y: 10 };
    const drawn = thinned([lonely, ...points], (point) => point, { width: 800, height: 400 });
    expect(drawn).toContain(lonely);
    // Cells are squares of one side, so that each left-out point has a drawn one within a cell's diagonal.
    const pixels = ({ x, y }: { x: number; y: number }): [number, number] => [x * 80, y * 40];
    const places = drawn.map(pixels);
    for (const point of points) {
      const [x, y] = pixels(point);
      expect(places.some(([a, b]) => Math.hypot(a - x, b - y) <= 2 * Math.SQRT2)).toBe(true);
    }
  });

  it("writes what a constraint is where there is room for it", async () => {
    // At the right end of the axis, since the full model has no score.
    const data = {
      ...few,
      full: { ...few.full, score: null },
      bounds: { macs: (few.full.costs.macs as number) * 0.7 },
    };
    const document = parseHTML(await renderReport(data)).document as unknown as Document;
    const label = Array.from(document.querySelectorAll("svg.plane text")).find(({ textContent }) =>
      textContent?.startsWith("at most"),
    );
    const group = label?.closest("[text-anchor]");
    expect(group?.getAttribute("text-anchor")).toBe("end");
  });
});

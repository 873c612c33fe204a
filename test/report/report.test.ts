/// <reference lib="dom" />
/** Reports as text: what they tell is held against the checkpoint, the front against a definition of it. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

import fc from "fast-check";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { readCheckpoint, writeReport } from "../../lib";
import { readReportData, renderReport } from "../../lib/entries/report";
import { frontOf } from "../../lib/report/charts/plane";
import { reportDataOf } from "../../lib/report/data";
import { searched } from "./searches";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-report-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** How many marks a chart has, by the name of their group. */
function marks(document: Document, chart: string, group: string): number {
  return document.querySelectorAll(`svg.${chart} g.${group} > *`).length;
}

async function reportOf(file: string): Promise<{ text: string; document: Document }> {
  const output = `${file}.html`;
  await writeReport(file, output);
  const text = readFileSync(output, "utf8");
  return { text, document: parseHTML(text).document as unknown as Document };
}

describe("a report", () => {
  it.each([
    ["BinarySearcher", 7],
    ["MilpSearcher", 50],
    ["EvolveSearcher", 7],
    ["ParetoSearcher", 50],
  ] as const)(
    "of a %s with %i hyperparameters draws all of them and every measured subnet",
    async (name, layers) => {
      const file = await searched(folder, name, layers, { macs: "50%", params: "70%" });
      const checkpoint = await readCheckpoint(file);
      const { document } = await reportOf(file);
      const { state } = checkpoint as NonNullable<typeof checkpoint>;
      const senses = name === "BinarySearcher" || name === "MilpSearcher";
      const candidates = senses
        ? (state.history as unknown[]).length
        : (state.candidates as { scores: Float64Array }).scores.length;
      const narrowings = senses ? layers * 3 : 0;
      // One plane a constraint.
      expect(document.querySelectorAll("svg.plane").length).toBe(2);
      expect(marks(document, "plane", "candidates")).toBe(2 * candidates);
      expect(marks(document, "plane", "narrowings")).toBe(2 * narrowings);
      expect(marks(document, "plane", "best-subnet")).toBe(2);
      expect(marks(document, "history", "measurements")).toBe(candidates + narrowings);
      expect(marks(document, "widths", "widths")).toBe(layers);
      expect(document.querySelectorAll("svg.curve").length).toBe(senses ? layers : 0);
      expect(marks(document, "curve", "choices")).toBe(senses ? 4 * layers : 0);
      for (const svg of Array.from(document.querySelectorAll("svg")))
        expect(svg.getAttribute("aria-label")).toMatch(/chart|plot|Scores/);
      const verdicts = Array.from(document.querySelectorAll("td"), (cell) => cell.textContent);
      expect(verdicts.filter((text) => text === "met").length).toBe(2);
    },
  );

  it("tells bounds, costs and widths as the checkpoint has them", async () => {
    const file = await searched(folder, "EvolveSearcher", 5, { macs: "40%" });
    const checkpoint = await readCheckpoint(file);
    const data = await readReportData(file);
    const { best, fullCosts, bounds } = checkpoint?.state as {
      best: { config: Record<string, number>; score: number; costs: Record<string, number> };
      fullCosts: Record<string, number>;
      bounds: Record<string, number>;
    };
    expect(data.best).toEqual({ score: best.score, accuracy: null, costs: best.costs });
    expect(data.full.costs).toEqual(fullCosts);
    expect(data.bounds).toEqual(bounds);
    expect(Object.fromEntries(data.widths.map(({ name, selected }) => [name, selected]))).toEqual(
      best.config,
    );
    const fitting = data.measurements.filter(({ fits }) => fits).map(({ score }) => score);
    expect(Math.max(...fitting)).toBe(best.score);
    for (const { costs, fits } of data.measurements)
      expect(fits).toBe((costs?.macs as number) <= (bounds.macs as number));
  });

  it("refers to nothing outside, and lets nothing in a name become HTML", async () => {
    const evil = '<script>alert("x")</script>';
    const file = await searched(
      folder,
      "ParetoSearcher",
      3,
      {},
      {
        command: ["search", `${evil}.pt`, "--data", "it's.npz"],
        request: { model: `/models/${evil}.pt` },
        score: { title: `-${evil}` },
      },
    );
    const { text, document } = await reportOf(file);
    expect(text).not.toContain(evil);
    expect(document.querySelectorAll("script").length).toBe(1);
    expect(document.querySelector("pre")?.textContent).toBe(
      `torchsearch search '${evil}.pt' --data 'it'\\''s.npz'`,
    );
    expect(text).not.toMatch(/(?:src|href)=|@import|url\(/);
    expect(
      text.match(/https?:\/\/[^"'\s<]+/g)?.filter((url) => !url.startsWith("http://www.w3.org/")) ?? [],
    ).toEqual([]);
  });

  it("can be made of a search that is under way", async () => {
    const file = await searched(folder, "BinarySearcher", 4);
    const checkpoint = await readCheckpoint(file);
    if (checkpoint === null) throw new Error(file);
    const data = await readReportData(file);
    const page = await renderReport({
      ...data,
      best: null,
      widths: data.widths.map((each) => ({ ...each, selected: null })),
    });
    expect(page).toContain("The search is not finished");
    expect(page).not.toContain('svg class="widths');
  });

  it.each(["BinarySearcher", "EvolveSearcher"] as const)(
    "of a %s leaves out candidates without a score, and says how many",
    async (name) => {
      const file = await searched(folder, name, 6);
      const checkpoint = await readCheckpoint(file);
      if (checkpoint === null) throw new Error(file);
      const whole = reportDataOf(checkpoint, file);
      expect(whole.stopped).toBe(0);
      // As a search has them that gives candidates up early.
      const { candidates, history } = checkpoint.state as {
        candidates?: { scores: Float64Array };
        history?: { score: number | null }[];
      };
      if (candidates !== undefined) candidates.scores.fill(Number.NaN, 2, 5);
      else for (const [at, each] of (history ?? []).entries()) each.score = at % 2 === 0 ? Number.NaN : null;
      const stopped = candidates === undefined ? (history as unknown[]).length : 3;
      const data = reportDataOf(checkpoint, file);
      expect(data.stopped).toBe(stopped);
      expect(data.measurements.length).toBe(whole.measurements.length - stopped);
      const page = await renderReport(data);
      expect(page).toContain(`${stopped} more candidates were stopped early`);
      expect(page).not.toContain("NaN");
    },
  );

  it("fails with a code, and leaves an earlier file as it was", async () => {
    const output = path.join(folder, "kept.html");
    writeFileSync(output, "earlier");
    await expect(writeReport(path.join(folder, "nowhere"), output)).rejects.toMatchObject({
      code: "ERR_CHECKPOINT_READ",
    });
    expect(readFileSync(output, "utf8")).toBe("earlier");
    const file = await searched(folder, "BinarySearcher", 2);
    const blocked = path.join(folder, "no-folder", "x.html");
    await expect(writeReport(file, blocked)).rejects.toMatchObject({ code: "ERR_FILE_WRITE" });
    expect(existsSync(blocked)).toBe(false);
  });
});

describe("cost by operator", () => {
  const layer = (name: string, op: string, flops: number, params: number) => ({ name, op, flops, params });

  it("adds up kinds and layers, and tells what was left out, joined by name and occurrence", async () => {
    const operators = {
      before: [
        layer("a", "aten::_convolution", 600, 10),
        layer("b", "aten::_convolution", 400, 20),
        layer("b", "aten::_convolution", 40, 0),
        layer("c", "aten::linear", 50, 5),
      ],
      after: [
        layer("a", "aten::_convolution", 300, 4),
        layer("b", "aten::_convolution", 400, 20),
        layer("b", "aten::_convolution", 20, 0),
      ],
    };
    const heldOut = {
      samples: 77,
      score: { before: -1, after: -2 },
      accuracy: { before: 0.9, after: 0.8125 },
    };
    const file = await searched(folder, "EvolveSearcher", 3, { macs: "50%" }, { operators, heldOut });
    expect((await readReportData(file)).operators[2]).toEqual({
      name: "b",
      op: "aten::_convolution",
      before: { flops: 40, params: 0 },
      after: { flops: 20, params: 0 },
    });
    const { document } = await reportOf(file);
    const [kinds, layers] = Array.from(document.querySelectorAll("svg.operators"));
    const titles = (svg: Element | undefined) =>
      Array.from(svg?.querySelectorAll("g.before title") ?? [], (title) => title.textContent);
    expect(titles(kinds)).toEqual([
      "convolution\nFLOPs: 1.040 k → 720\nParameters: 30 → 24",
      "linear\nFLOPs: 50 → 0\nParameters: 5 → 0",
    ]);
    expect(titles(layers).map((title) => title?.split("\n")[0])).toEqual(["a", "b", "c"]);
    expect(layers?.textContent).toContain("left out");
    const tiles = document.querySelector(".tiles")?.textContent?.replaceAll(/\s+/g, " ");
    expect(tiles).toContain("Held out: accuracy81.3 %from 90.0 %");
    expect(document.body.textContent).toContain("Held out: 77 samples that the search did not use.");
  });

  it("is left out where the search did not profile", async () => {
    const { document } = await reportOf(await searched(folder, "EvolveSearcher", 2));
    expect(document.querySelectorAll("svg.operators").length).toBe(0);
    expect(document.body.textContent).toContain("on the samples that the search optimized");
  });
});

describe("a report of thousands of candidates", () => {
  it("is drawn beside the event loop, and keeps ruined models at the edge", async () => {
    const dist = path.resolve(__dirname, "../../dist/entries/report.js");
    const built = createRequire(__filename)(dist) as typeof import("../../lib/entries/report");
    const data = await built.readReportData(await searched(folder, "EvolveSearcher", 5));
    const measurements = Array.from({ length: 4000 }, (_, i) => ({
      score: i === 7 ? -1e6 : -1 + i / 8000,
      costs: { macs: 1000 + i },
      kind: "candidate" as const,
      label: `candidate ${i + 1}`,
      fits: true,
    }));
    const many = {
      ...data,
      best: { ...(data.best as NonNullable<typeof data.best>), score: -0.5 },
      measurements,
    };
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const text = await built.renderReport(many);
    clearInterval(timer);
    // 10 ms is the aim; machines that test are loaded. In the main thread it takes more than a second.
    expect(longest).toBeLessThan(200);
    const { document } = parseHTML(text) as unknown as { document: Document };
    expect(marks(document, "plane", "candidates")).toBe(4000);
    expect(document.querySelector(".legend")?.textContent).toContain("1 worse than the scale shows");
  });
});

describe("the front", () => {
  it("holds just those that nothing beats in both cost and score", () => {
    const point = fc.record({
      cost: fc.integer({ min: 0, max: 20 }),
      score: fc.integer({ min: 0, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(point, { minLength: 1 }), (points) => {
        const front = frontOf(points);
        const beaten = (a: { cost: number; score: number }) =>
          points.some(
            (b) => b.cost <= a.cost && b.score >= a.score && (b.cost < a.cost || b.score > a.score),
          );
        const key = ({ cost, score }: { cost: number; score: number }) => `${cost} ${score}`;
        expect(new Set(front.map(key))).toEqual(new Set(points.filter((each) => !beaten(each)).map(key)));
      }),
    );
  });
});

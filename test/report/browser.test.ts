/// <reference lib="dom" />
/** Reports in a real browser: they render, nothing leaves the file, tooltips work, both colour schemes can be read. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { type Browser, chromium, type Locator, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { writeReport } from "../../lib";
import { readReportData } from "../../lib/entries/report";
import { searched } from "./searches";

const CANDIDATES = [
  process.env.TORCHSEARCH_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];
const executablePath = CANDIDATES.find((file) => file !== undefined && existsSync(file));
if (executablePath === undefined) {
  process.stderr.write(
    "Reports are not tried in a browser: no Chromium was found. Install one (Debian: apt-get install chromium), or name " +
      "it with TORCHSEARCH_CHROMIUM.\n",
  );
}

/** Puts the pointer on a mark. Scrolling, which hides what the pointer has shown, is over by then. */
async function point(mark: Locator): Promise<void> {
  await mark.scrollIntoViewIfNeeded();
  await setTimeout(300);
  await mark.hover();
}

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

describe.skipIf(executablePath === undefined)("a report in Chromium", () => {
  let folder: string;
  let browser: Browser;
  let state: string;
  let report: string;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-browser-"));
    browser = await chromium.launch({ executablePath, args: ARGS });
    const layer = (at: number, flops: number) => ({
      name: `layer${at}`,
      op: "aten::conv2d",
      flops,
      params: flops / 10,
    });
    const operators = {
      before: Array.from({ length: 20 }, (_, i) => layer(i, 1000 * (i + 1))),
      after: Array.from({ length: 20 }, (_, i) => layer(i, 500 * (i + 1))),
    };
    state = await searched(folder, "BinarySearcher", 50, { macs: "50%" }, { operators });
    report = path.join(folder, "report.html");
    await writeReport(state, report);
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(colorScheme: "light" | "dark", width = 1100): Promise<{ page: Page; heard: string[] }> {
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const heard: string[] = [];
    page.on("console", (message) => heard.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => heard.push(`error: ${error.message}`));
    page.on("request", (request) => heard.push(`request: ${request.url()}`));
    await page.goto(pathToFileURL(report).href);
    return { page, heard };
  }

  it("renders every measurement where it can be seen, says nothing on the console and asks for nothing", async () => {
    const { page, heard } = await open("light");
    const data = await readReportData(state);
    const visible = await page.evaluate(() => {
      const inside = (selector: string) =>
        Array.from(document.querySelectorAll(selector)).filter((mark) => {
          const box = mark.getBoundingClientRect();
          const frame = (mark.closest("svg") as SVGSVGElement).getBoundingClientRect();
          const middle = [box.left + box.width / 2, box.top + box.height / 2] as const;
          return (
            box.width > 0 &&
            middle[0] >= frame.left &&
            middle[0] <= frame.right &&
            middle[1] >= frame.top &&
            middle[1] <= frame.bottom
          );
        }).length;
      return {
        measured: inside("svg.plane g.candidates > *, svg.plane g.narrowings > *"),
        history: inside("svg.history g.measurements > *"),
        widths: inside("svg.widths g.widths > *"),
        curves: inside("svg.curve g.choices > *"),
      };
    });
    const { length } = data.measurements;
    expect(visible).toEqual({ measured: length, history: length, widths: 50, curves: 200 });
    expect(heard).toEqual([`request: ${pathToFileURL(report).href}`]);
    await page.close();
  });

  it("shows what a mark stands for beside the pointer, and hides it again", async () => {
    const { page } = await open("light");
    expect(await page.locator("#tip").isVisible()).toBe(false);
    await point(page.locator("svg.plane g.best-subnet > *"));
    const tip = page.locator("#tip");
    await tip.waitFor({ state: "visible", timeout: 10_000 });
    const data = await readReportData(state);
    expect(await tip.textContent()).toContain(`best subnet\nMultiply-adds: `);
    expect(await tip.textContent()).toContain((data.best?.score as number).toPrecision(4));
    await point(page.locator("svg.widths g.widths > *").first());
    await expect.poll(() => tip.textContent()).not.toContain("best subnet");
    const { name, selected, full } = data.widths[0] as (typeof data.widths)[number];
    expect(await tip.textContent()).toMatch(new RegExp(`^${name} .*\n${selected} of ${full}: `));
    await point(page.locator("svg.operators g.after > *").last());
    await expect
      .poll(() => tip.textContent())
      .toMatch(/^layer5\nFLOPs: 6\.000 k → 3\.000 k\nParameters: 600 → 300$/);
    await page.mouse.move(2, 2);
    await tip.waitFor({ state: "hidden", timeout: 10_000 });
    await page.close();
  });

  it.each(["light", "dark"] as const)(
    "can be read in the %s scheme: contrasts are those of WCAG AA",
    async (scheme) => {
      const { page } = await open(scheme);
      const contrasts = await page.evaluate(() => {
        const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
        const luminance = (color: string) => {
          const [r, g, b] = channels(color).map((value) => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
          }) as [number, number, number];
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const contrast = (a: string, b: string) => {
          const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
          return (high + 0.05) / (low + 0.05);
        };
        const page = getComputedStyle(document.body).backgroundColor;
        const style = (selector: string) => getComputedStyle(document.querySelector(selector) as Element);
        return {
          background: luminance(page),
          text: contrast(style("p").color, page),
          muted: contrast(style("caption").color, page),
          axis: contrast(style('svg.plane g[aria-label="x-axis tick label"]').fill, page),
          candidate: contrast(style("svg.plane g.candidates").fill, page),
          best: contrast(style("svg.plane g.best-subnet").fill, page),
          before: contrast(style("svg.operators g.before").fill, style("svg.operators g.after").fill),
        };
      });
      expect(contrasts.background > 0.5).toBe(scheme === "light");
      for (const text of ["text", "muted", "axis"] as const) expect(contrasts[text]).toBeGreaterThan(4.5);
      for (const graphic of ["candidate", "best"] as const) expect(contrasts[graphic]).toBeGreaterThan(3);
      // Two bars, one over the other: told apart by length and number too.
      expect(contrasts.before).toBeGreaterThan(2);
      await page.close();
    },
  );

  it.each(["light", "dark"] as const)(
    "fits a narrow screen: charts whole, tables scroll in their box (%s)",
    async (scheme) => {
      const { page } = await open(scheme, 400);
      const seen = await page.evaluate(() => {
        for (const details of Array.from(document.querySelectorAll("details"))) details.open = true;
        const charts = Array.from(document.querySelectorAll("svg")).map((svg) => svg.getBoundingClientRect());
        const drawn = charts.filter(({ width }) => width > 0);
        const texts = Array.from(document.querySelectorAll("svg.plane-narrow text"));
        return {
          overflow: document.documentElement.scrollWidth - innerWidth,
          charts: drawn.length,
          whole: drawn.every(({ left, right }) => left >= 0 && right <= innerWidth),
          wideShown: (document.querySelector("svg.plane") as Element).getBoundingClientRect().width > 0,
          textHeight: Math.min(...texts.map((text) => text.getBoundingClientRect().height)),
          tablesInside: Array.from(document.querySelectorAll(".scroll")).every(
            (box) => box.getBoundingClientRect().right <= innerWidth,
          ),
          brokenWords: Array.from(document.querySelectorAll("th, td")).filter(
            (cell) => !["normal", "break-word"].includes(getComputedStyle(cell).overflowWrap),
          ).length,
        };
      });
      expect(seen).toMatchObject({ whole: true, wideShown: false, tablesInside: true, brokenWords: 0 });
      expect(seen.overflow).toBeLessThanOrEqual(0);
      expect(seen.charts).toBeGreaterThan(50);
      expect(seen.textHeight).toBeGreaterThan(9);
      await page.close();
    },
  );
});

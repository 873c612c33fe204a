/** The workflow files are sound, call what exists, and say what of them was never tried. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { root } from "../support/zoo";

interface Job {
  "runs-on": string;
  needs?: string;
  "continue-on-error"?: string;
  strategy?: { matrix: { platform: { name: string; os: string; tried: boolean }[]; torch: string[] } };
  steps: { uses?: string; run?: string; name?: string }[];
}

const folder = path.join(root, ".github", "workflows");
const read = (file: string) => {
  const text = readFileSync(path.join(folder, file), "utf8");
  // YAML 1.1, as GitHub reads it, takes a bare `on` for true; 1.2 does not.
  const parsed = parse(text) as { name: string; on: unknown; jobs: Record<string, Job> };
  return { text, ...parsed };
};
const { scripts } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};

describe.each(readdirSync(folder))("%s", (file) => {
  it("has jobs whose steps are actions of a fixed version or commands that exist", () => {
    const { name, on, jobs } = read(file);
    expect([name, on]).not.toContain(undefined);
    expect(Object.keys(jobs).length).toBeGreaterThan(0);
    for (const job of Object.values(jobs)) {
      expect(job["runs-on"]).toBeTypeOf("string");
      if (job.needs !== undefined) expect(Object.keys(jobs)).toContain(job.needs);
      for (const { uses, run } of job.steps) {
        expect([uses, run].filter((each) => each !== undefined).length).toBe(1);
        if (uses !== undefined) expect(uses).toMatch(/^[\w-]+\/[\w-]+@v\d+$/);
        for (const [, script] of (run ?? "").matchAll(/npm run (\S+)/g))
          expect(Object.keys(scripts)).toContain(script);
        if (run?.startsWith(".ci/")) expect(existsSync(path.join(root, run))).toBe(true);
      }
    }
  });

  it("says that it was not tried", () => {
    expect(read(file).text).toMatch(/^# .*Not tried|^# Not tried/m);
  });
});

it("prebuilds are made for Linux (both processors), macOS and Windows; a failure counts only where it was tried", () => {
  const job = read("prebuilds.yml").jobs.prebuild as Job;
  const { platform, torch } = (job.strategy as NonNullable<Job["strategy"]>).matrix;
  expect(platform.map(({ name, tried }) => [name, tried])).toEqual([
    ["linux-x64", true],
    ["linux-arm64", false],
    ["darwin-arm64", false],
    ["win32-x64", false],
  ]);
  expect(torch).toContain("2.13.0");
  expect(job["continue-on-error"]).toContain("!matrix.platform.tried");
  const commands = job.steps.map(({ run }) => run);
  // Each one is tried from the packed file before it is kept.
  expect(commands.indexOf("npm test -- package")).toBeGreaterThan(commands.indexOf("npm run prebuild"));
});

it("what CI runs includes the suite of the packed file", () => {
  const ci = readFileSync(path.join(root, ".ci", "run"), "utf8");
  expect(ci).toMatch(/^npm test --silent/m);
  const suites = readFileSync(path.join(root, "scripts", "lib", "suites.mjs"), "utf8");
  expect(suites).toMatch(/export const SUITES = \{[^}]*package: packageSuite/);
});

/** One, two, three and four processes find the same candidates, scores, best subnet and exported bytes. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

import { GROUP_SEARCHES, type GroupResult } from "../support/group-runs";
import { bundle } from "../support/killable";
import { freePort, startRanks } from "../support/ranks";
import { root } from "../support/zoo";

let folder: string;
let script: string;
const results = new Map<number, Record<string, GroupResult>[]>();

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-ranks-"));
  script = path.join(folder, "run.cjs");
  const source = `
    import { joinGroup } from "./lib";
    import { GROUP_SEARCHES, groupRun } from "./test/support/group-runs";
    const [, , folder] = process.argv;
    const run = async () => {
      const group = process.env.WORLD_SIZE === "1" ? null : await joinGroup({ timeout: 120 });
      const found = {};
      for (const name of GROUP_SEARCHES)
        found[name] = await groupRun(name, { fixtures: ${JSON.stringify(path.join(root, "test", "fixtures"))}, folder, group });
      await group?.leave();
      process.stdout.write(JSON.stringify(found));
    };
    run();
  `;
  const external = ["highs", "bindings", "sharp", "@observablehq/plot", "linkedom"];
  await bundle(source, { resolveDir: root, outfile: script, external });
  for (const worldSize of [1, 2, 3, 4]) {
    const ranks = startRanks([script, folder], worldSize, await freePort());
    const ended = await Promise.all(ranks.map((rank) => rank.ended));
    for (const { code, errors } of ended) expect([code, errors]).toEqual([0, ""]);
    results.set(
      worldSize,
      ended.map(({ output }) => JSON.parse(output) as Record<string, GroupResult>),
    );
  }
}, 400_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it.each(GROUP_SEARCHES)("%s ends alike, whatever the number of processes", (name) => {
  const alone = results.get(1)?.[0]?.[name] as GroupResult;
  for (const worldSize of [2, 3, 4])
    for (const rank of results.get(worldSize) ?? []) expect(rank[name]?.text).toBe(alone.text);
});

it.each(
  GROUP_SEARCHES.filter(
    (name) => !["GradientSearcher", "AutoQuantizeSearcher"].includes(name) && !name.endsWith("by parts"),
  ),
)("%s measures each candidate once, but for the first, which every process measures", (name) => {
  const alone = results.get(1)?.[0]?.[name] as GroupResult;
  for (const worldSize of [2, 3]) {
    const counts = (results.get(worldSize) ?? []).map((rank) => rank[name]?.measured ?? 0);
    const sum = counts.reduce((total, count) => total + count, 0);
    // A searcher that measures a candidate twice by itself finds the score the second time.
    expect(sum).toBeLessThanOrEqual(alone.measured + worldSize - 1);
    expect(Math.min(...counts)).toBeGreaterThan(0);
  }
});

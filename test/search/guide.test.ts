/** The code of docs/guides/custom-searcher.md, taken out of the page and run as it stands there. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, expect, it } from "vitest";

import { BaseSearcher, type ScoreFunction, type SearchSpace } from "../../lib";
import type { ScoredSubnet } from "../../lib/entries/search";
import { allSubnets, chainSpace } from "../support/chain-space";
import { fromCheckout } from "../support/entry-points";
import { root } from "../support/zoo";

const page = readFileSync(path.join(root, "docs", "guides", "custom-searcher.md"), "utf8");
const blocks = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code as string);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-guide-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes code to a file that imports this checkout's library. */
function write(name: string, code: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, fromCheckout(code));
  return file;
}

it("has a searcher of at most 40 lines, and compiles under strict settings", () => {
  expect(blocks.length).toBe(3);
  const lines = blocks[0]!.trim().split("\n");
  expect(lines.length).toBeLessThanOrEqual(40);
  const file = write("typed.ts", blocks.join("\n"));
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(path.join(root, "tsconfig.test.json"), ts.sys.readFile).config,
    ts.sys,
    root,
  );
  const program = ts.createProgram([file], {
    ...options,
    rootDir: undefined,
    noEmit: true,
    allowImportingTsExtensions: true,
    typeRoots: [path.join(root, "node_modules", "@types")],
  });
  const problems = ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
  expect(problems).toEqual([]);
}, 120_000);

it("runs on the digits ResNet", async () => {
  process.env.CHECKPOINT = path.join(folder, "annealing.safetensors");
  const { stateDict, bounded } = (await import(write("whole.ts", blocks.join("\n")))) as {
    bounded: { stateDict: { best: ScoredSubnet; fullCosts: Record<string, number> } };
    stateDict: { best: ScoredSubnet; fullCosts: Record<string, number>; iteration: number };
  };
  delete process.env.CHECKPOINT;
  expect(stateDict.iteration).toBe(20);
  expect(stateDict.best.costs.flops).toBeLessThanOrEqual(0.6 * stateDict.fullCosts.flops!);
  const { best, fullCosts } = bounded.stateDict;
  const channels = Object.values(best.config).reduce((sum, width) => sum + width, 0);
  expect(best.costs.channels).toBe(channels);
  expect(channels).toBeLessThanOrEqual(0.7 * fullCosts.channels!);
  expect(best.costs.flops).toBeLessThanOrEqual(0.8 * fullCosts.flops!);
}, 120_000);

it("finds the optimum of a small space, and resumes as if never interrupted", async () => {
  const code = `${blocks[0]}\nexport { AnnealingSearcher };\n`;
  const { AnnealingSearcher } = (await import(write("class.ts", code))) as {
    AnnealingSearcher: new () => BaseSearcher<{ best: ScoredSubnet }, never, SearchSpace, unknown>;
  };
  expect(new AnnealingSearcher()).toBeInstanceOf(BaseSearcher);
  const wide = [4, 8, 12, 16, 20, 24];
  const chain = { layers: [wide, wide, wide, wide], positions: [64, 16, 16, 4] };
  const scoreFunc: ScoreFunction = (model) =>
    Object.values((model as SearchSpace).active).reduce((sum, width) => sum + Math.log(width), 0);
  const search = (config: object) =>
    new AnnealingSearcher().search(chainSpace(chain).space, { macs: "50%" }, null, {
      verbose: false,
      scoreFunc,
      ...config,
    } as never);
  const { space } = chainSpace(chain);
  let best = Number.NEGATIVE_INFINITY;
  for (const config of allSubnets(space)) {
    if (space.cost(config, "macs") > 0.5 * space.cost(space.fullConfig, "macs")) continue;
    space.select(config);
    best = Math.max(best, (await scoreFunc(space)) as number);
  }
  const straight = await search({});
  expect(straight.stateDict.best.score).toBe(best);
  const checkpoint = path.join(folder, "resumed.safetensors");
  let calls = 0;
  const failing: ScoreFunction = (model) => {
    if (calls++ === 7) throw new Error("power cut");
    return scoreFunc(model);
  };
  await expect(search({ checkpoint, scoreFunc: failing })).rejects.toThrow("power cut");
  expect((await search({ checkpoint })).stateDict).toEqual(straight.stateDict);
});

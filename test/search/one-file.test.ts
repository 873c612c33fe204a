/** Each algorithm stands in one file of under 200 lines, with at most one class between it and BaseSearcher. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";

import {
  AutoQuantizeSearcher,
  BaseSearcher,
  BinarySearcher,
  EvolveSearcher,
  GradientSearcher,
  MilpSearcher,
  ParetoSearcher,
  RandomSearcher,
  SparseGptSearcher,
  SparseMagnitudeSearcher,
} from "../../lib";
import { CmaEsSearcher, TpeSearcher } from "../../lib/entries/search";
import { root } from "../support/zoo";

it.each([
  [BinarySearcher, "width/binary"],
  [MilpSearcher, "width/milp"],
  [GradientSearcher, "width/gradient"],
  [EvolveSearcher, "width/evolve"],
  [RandomSearcher, "width/random"],
  [ParetoSearcher, "width/pareto"],
  [TpeSearcher, "width/tpe"],
  [CmaEsSearcher, "width/cmaes"],
  [AutoQuantizeSearcher, "format/auto-quantize"],
  [SparseMagnitudeSearcher, "sparse/sparse-magnitude"],
  [SparseGptSearcher, "sparse/sparse-gpt"],
])("%s", (Searcher, file) => {
  const source = readFileSync(path.join(root, "lib", "search", `${file}.ts`), "utf8");
  expect(source).toContain(`export class ${Searcher.name} extends`);
  expect(source.trimEnd().split("\n").length).toBeLessThan(200);
  // The docstring names where the algorithm is from: a paper with its year, or NVIDIA ModelOpt.
  expect(source).toMatch(/\b(19|20)\d\d\)|ModelOpt/);
  const between: string[] = [];
  let base = Object.getPrototypeOf(Searcher) as { name: string };
  while ((base as unknown) !== BaseSearcher) {
    between.push(base.name);
    base = Object.getPrototypeOf(base) as { name: string };
  }
  expect(between.length, between.join(" ")).toBeLessThanOrEqual(1);
});

it.each(["width/parzen", "width/cma", "width/cma-margin", "width/cma-points", "width/triangular"])(
  "%s, a part of one, is short too",
  (file) => {
    const source = readFileSync(path.join(root, "lib", "search", `${file}.ts`), "utf8");
    expect(source.trimEnd().split("\n").length).toBeLessThan(200);
  },
);

it.each([
  ["width/parzen", /Optuna/],
  ["width/cma", /Hansen.*2016.*Krause.*2016.*Hansen.*2011/s],
  ["width/cma-margin", /Hamano.*GECCO 2022/s],
])("%s says where its formulas are from", (file, source) => {
  expect(readFileSync(path.join(root, "lib", "search", `${file}.ts`), "utf8")).toMatch(source);
});

it("every config has all its keys by default", () => {
  const { defaultSearchConfig } = new MilpSearcher();
  expect(defaultSearchConfig).toMatchObject({ maxChoices: 3, activationCache: null, gap: 0, timeLimit: 60 });
});

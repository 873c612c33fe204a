/** Pages whose tables list what a table of the code holds list all of it. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";

import * as lib from "../../lib";
import * as search from "../../lib/entries/search";
import { findMode, modeNames } from "../../lib/mode/registry";
import { metricsOf } from "../../lib/profile/metrics";
import { QUANTIZATION_FORMATS } from "../../lib/quantization/formats";
import { IMPORTANCES } from "../../lib/space/importance";
import { root } from "../support/zoo";

const searchers = (mode: string) => Object.values(findMode(mode).searchers).map(({ name }) => name);

const PAGES: Readonly<Record<string, readonly string[]>> = {
  "docs/guides/constraints.md": [...metricsOf("profile"), ...metricsOf("formats")],
  "docs/profiling.md": metricsOf("profile"),
  "docs/importance.md": IMPORTANCES,
  "docs/quantization.md": [...Object.keys(QUANTIZATION_FORMATS), ...metricsOf("formats")],
  "docs/sparsity.md": metricsOf("sparsity"),
  "docs/modes.md": [...modeNames(), ...modeNames().flatMap((mode) => Object.keys(findMode(mode).searchers))],
  "docs/searchers.md": searchers("fastnas"),
};

it.each(Object.keys(PAGES))("%s", (page) => {
  const text = readFileSync(path.join(root, page), "utf8");
  const names = [...new Set(PAGES[page])];
  expect(names.filter((name) => !new RegExp(`[\`"]${name}\\b`).test(text))).toEqual([]);
});

it("every searcher of a mode is exported, from the root or from torchsearch/search", () => {
  const exported = new Set<unknown>([...Object.values(lib), ...Object.values(search)]);
  const own = modeNames().flatMap((mode) => Object.values(findMode(mode).searchers));
  expect(own.filter((searcher) => !exported.has(searcher))).toEqual([]);
});

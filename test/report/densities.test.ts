/// <reference lib="dom" />
/** Reports of sparse weights: densities and errors as the search's state has them, with a score and without. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseHTML } from "linkedom";
import { expect, it } from "vitest";

import { convert, Module, search, Tensor, TensorDataLoader, topKAccuracy, writeReport } from "../../lib";
import { readReportData, renderReport } from "../../lib/entries/report";
import type { SparseSearchState } from "../../lib/entries/search";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");

it.each([
  { mode: "sparsegpt", pattern: "2:4", scored: true },
  { mode: "sparse_magnitude", pattern: "unstructured", scored: false },
])(
  "a report of $mode tells what each layer keeps, and what that costs it",
  async ({ mode, pattern, scored }) => {
    const folder = process.env.KEEP_REPORT ?? mkdtempSync(path.join(os.tmpdir(), "torchsearch-densities-"));
    mkdirSync(folder, { recursive: true });
    const checkpoint = path.join(folder, `${mode}.search.safetensors`);
    using module = await Module.load(path.join(fixtures, "digits_vit.pt"));
    const file = path.join(fixtures, "digits.npz");
    using data = await TensorDataLoader.fromNpz(file, {
      keys: ["train_images"],
      batchSize: 64,
    });
    using test = await TensorDataLoader.fromNpz(file, {
      keys: ["test_images", "test_labels"],
      batchSize: 250,
    });
    const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const space = await convert(module, mode as "sparsegpt", dummyInput, {
      pattern,
    });
    const { subnet, stateDict } = await search(space, {}, dummyInput, {
      ...(mode === "sparsegpt" && { dataLoader: data, maxIterDataLoader: 1 }),
      ...(scored && { scoreFunc: topKAccuracy(test) }),
      verbose: false,
      checkpoint,
    });
    const state = stateDict as unknown as SparseSearchState;
    const report = await readReportData(checkpoint);
    expect(report.pattern).toBe(pattern);
    expect(report.densities.map(({ name }) => name)).toEqual(space.layers.map(({ name }) => name));
    for (const { name, elements, density, error } of report.densities) {
      expect(density).toBe(state.layers[name]?.density);
      expect(density).toBeCloseTo(0.5, 2);
      expect(error).toBe(state.layers[name]?.error);
      expect(error === null).toBe(mode !== "sparsegpt");
      expect(elements).toBe(space.layers.find((layer) => layer.name === name)?.elements);
    }
    // Half of the layers' weights go; what is no layer's stays.
    const { full, best } = report;
    const all = report.densities.reduce((sum, { elements }) => sum + elements, 0);
    expect(full.costs.params).toBe(
      module.namedParameters().reduce((sum, { tensor }) => sum + tensor.size, 0),
    );
    expect((full.costs.params as number) - (best?.costs.params as number)).toBeCloseTo(all / 2, -1);
    expect(best?.score).toBe(scored ? state.best?.score : null);

    const page = await renderReport(report);
    const { document } = parseHTML(page) as unknown as { document: Document };
    expect(document.querySelectorAll("svg.densities g.kept > *").length).toBe(space.layers.length);
    expect(document.querySelectorAll("svg.plane, svg.history, svg.widths, svg.formats").length).toBe(0);
    expect(document.querySelector(".lead")?.textContent).toMatch(
      /keeps 50\.0 % of the weights of \d+ layers/,
    );
    expect(document.querySelector(".tiles")?.textContent).toContain("Weights kept");
    expect(document.querySelector("main")?.textContent).not.toMatch(/NaN|undefined|\bnull\b/);

    // Under way: some layers have not had their turn.
    const early = await renderReport({
      ...report,
      best: null,
      densities: report.densities.map((layer, at) =>
        at < 3 ? layer : { ...layer, density: null, error: null },
      ),
    });
    expect(early).toContain(`3 of ${space.layers.length} layers are sparse so far`);
    if (process.env.KEEP_REPORT !== undefined) await writeReport(checkpoint, `${checkpoint}.html`);
    else rmSync(folder, { recursive: true });
    for (const each of [subnet, space]) each.close();
  },
);

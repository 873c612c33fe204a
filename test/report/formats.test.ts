/** Reports of quantization: formats, bits and harms as the checkpoint and the space have them. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseHTML } from "linkedom";
import { expect, it } from "vitest";

import { AutoQuantizeSearcher } from "../../lib";
import { readReportData, renderReport } from "../../lib/entries/report";
import type { AutoQuantizeState } from "../../lib/entries/search";
import { digitsSpace, dummyInput, trainData } from "../quantization/spaces";

it("a report of formats tells each layer's harms, bits and choice", async () => {
  const folder = process.env.KEEP_REPORT ?? mkdtempSync(path.join(os.tmpdir(), "torchsearch-formats-"));
  const checkpoint = path.join(folder, "quantized.search.safetensors");
  const space = await digitsSpace();
  const { subnet, stateDict } = await new AutoQuantizeSearcher().search(
    space,
    { effectiveBits: 6 },
    dummyInput(),
    {
      dataLoader: await trainData(),
      maxIterDataLoader: 2,
      verbose: false,
      checkpoint,
    },
  );
  subnet.close();
  const data = await readReportData(checkpoint);
  const state = stateDict as unknown as AutoQuantizeState;
  const best = state.best as NonNullable<AutoQuantizeState["best"]>;
  expect(data.formats.length).toBe(space.hyperparameters.length);
  expect(data.sensitivity).toEqual([]);
  let bits = 0;
  let weights = 0;
  for (const [at, { name, choices, selected }] of data.formats.entries()) {
    expect(selected).toBe(best.config[name]);
    expect(choices[0]).toEqual({ format: "none", bits: 32, harm: 0 });
    for (const { format, harm } of choices.slice(1)) expect(harm).toBe(state.sensitivity[name]?.[format]);
    const group = space.hyperparameters[at] as (typeof space.hyperparameters)[number];
    bits += group.weights * (choices.find(({ format }) => format === selected)?.bits as number);
    weights += group.weights;
  }
  // The mean over weights of what layers have is what the search was bound by.
  expect(bits / weights).toBeCloseTo(best.costs.effectiveBits, 9);
  expect(bits / weights).toBeLessThanOrEqual(6);

  const { document } = parseHTML(await renderReport(data)) as unknown as { document: Document };
  expect(document.querySelectorAll("svg.formats g.chosen > *").length).toBe(data.formats.length);
  expect(document.querySelectorAll("svg.formats g.harms > *").length).toBe(
    data.formats.reduce((sum, { choices }) => sum + choices.length, 0),
  );
  expect(document.querySelectorAll("svg.plane, svg.history, svg.widths").length).toBe(0);
  expect(document.querySelector(".tiles")?.textContent).toContain("Effective bits");
  space.close();
  if (process.env.KEEP_REPORT === undefined) rmSync(folder, { recursive: true });
});

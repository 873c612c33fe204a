/** Widths of models that are N:M sparse; the pattern is judged by PyTorch. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { convert, Module, search, Tensor } from "../../lib";
import { runPython } from "../data/python";
import { expectCode } from "../support/tensors";
import { root } from "../support/zoo";

const fixtures = path.join(root, "test", "fixtures");
const digitsInput = () => Tensor.from(new Float32Array(64), [1, 1, 8, 8]);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-sparse-widths-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a search of widths on a file that is 2:4 sparse", () => {
  const sparse = async () => {
    const module = await Module.load(path.join(fixtures, "digits_cnn.pt"));
    const space = await convert(module, "sparse_magnitude", digitsInput(), { pattern: "2:4" });
    const { subnet } = await search(space, {}, digitsInput(), { searcher: "magnitude" });
    return subnet;
  };
  /** By PyTorch: the layers of a file, of those claimed, in which more than two of four neighbours are left. */
  const violations = (file: string, layers: string[]) =>
    runPython<string[]>(
      `
import json, sys, torch
m = torch.jit.load(sys.argv[1])
names = dict(m.named_parameters())
bad = []
for layer in json.loads(sys.argv[2]):
    w = names.get(layer + ".weight")
    if w is None: continue
    runs = w.flatten(2).transpose(1, 2) if w.dim() > 2 else w[:, None]
    if runs.shape[-1] % 4 or (runs.reshape(-1, 4).ne(0).sum(1) > 2).any(): bad.append(layer)
print(json.dumps(bad))`,
      file,
      JSON.stringify(layers),
    );

  it("is refused where neighbours would be parted, with what to change", async () => {
    const module = await sparse();
    await expectCode("ERR_SPARSE_PATTERN", () =>
      convert(module, "fastnas", digitsInput(), { channelDivisor: 8 }),
    );
    await expectCode("ERR_SPARSE_PATTERN", () =>
      convert(module, "fastnas", digitsInput(), { channelDivisor: 2, importance: "none" }),
    );
  });

  it("keeps the pattern that the history claims", async () => {
    const module = await sparse();
    const claimed = Object.entries(module.history[0]?.result.config as Record<string, number>)
      .filter(([, density]) => density < 1)
      .map(([name]) => name);
    expect(claimed.length).toBeGreaterThan(1);
    const space = await convert(module, "fastnas", digitsInput(), { channelDivisor: 4, importance: "none" });
    for (const config of [space.smallestConfig, space.fullConfig]) {
      space.select(config);
      const subnet = await space.export();
      const file = path.join(folder, "narrow.pt");
      await subnet.save(file);
      expect(violations(file, claimed)).toEqual([]);
      expect(subnet.history.map(({ mode }) => mode)).toEqual(["sparse_magnitude", "fastnas"]);
    }
  });
});

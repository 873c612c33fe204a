// Modes: a model is pruned twice, and its file records both times.   node examples/modes.mjs
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { convert, Module, search } from "torchsearch";
import { digitsConfig, example, modelFile } from "./searchers/digits-space.mjs";

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-modes-"));
const config = { ...(await digitsConfig()), searcher: "random", numIters: 8 };
let module = await Module.load(modelFile);
for (const [round, flops] of ["80%", "75%"].entries()) {
  const space = await convert(module, "fastnas", example);
  const { subnet } = await search(space, { flops }, null, config);
  const file = path.join(folder, `round${round}.pt`);
  await subnet.save(file);
  module = await Module.load(file);
}
for (const { mode, search: how, result } of module.history) {
  const share = (result.costs.flops / result.fullCosts.flops) * 100;
  console.log(
    `${mode} by ${how.searcher}: score ${how.score.toFixed(3)}, ${share.toFixed(1)} % of the FLOPs before`,
  );
}
rmSync(folder, { recursive: true });

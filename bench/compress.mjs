// `compress()` on digits: a target of FLOPs with labels and without, by seed; accuracy on the 500 held-out images, which
// nothing learned from. Prints the table of docs/results.md: `OMP_NUM_THREADS=1 node bench/compress.mjs --seeds 3`.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { compress, Module, setThreads, Tensor, TensorDataLoader, topKAccuracy } from "torchsearch";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    target: { type: "string", default: "40%" },
    model: { type: "string", default: "digits_resnet" },
  },
});
setThreads(1);
const fixtures = path.join(import.meta.dirname, "..", "test", "fixtures");
const file = path.join(fixtures, "digits.npz");
const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-bench-"));
const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
const held = await TensorDataLoader.fromNpz(file, { keys: ["test_images", "test_labels"], batchSize: 250 });
const percent = (value) => `${(100 * value).toFixed(1)} %`;
console.log(
  "| learned from | seed | accuracy | agreement | 95 % interval of the drop | FLOPs | parameters |",
);
console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
try {
  for (const loss of ["crossEntropy", null]) {
    for (let seed = 0; seed < Number(values.seeds); seed++) {
      const module = await Module.load(path.join(fixtures, `${values.model}.pt`));
      const keys = ["train_images", ...(loss === null ? [] : ["train_labels"])];
      const data = await TensorDataLoader.fromNpz(file, { keys, batchSize: 64, shuffle: true, seed });
      const result = await compress(module, {
        data,
        holdout: held,
        dummyInput,
        loss,
        seed,
        target: { flops: values.target },
        steps: 2,
        searchBatches: 8,
        output: path.join(folder, "small.pt"),
      });
      const small = await Module.load(result.output);
      const accuracy = await topKAccuracy(held)(small);
      const { low, high } = result.interval;
      const share = (metric) => percent(result.costs[metric] / result.fullCosts[metric]);
      const what = loss === null ? "the full model alone (no labels)" : "labels and the full model";
      const agreement = loss === null ? percent(result.score) : "";
      const interval = `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`;
      console.log(
        `| ${what} | ${seed} | ${percent(accuracy)} | ${agreement} | ${interval} | ${share("flops")} | ${share("params")} |`,
      );
      small.close();
      module.close();
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}

// Runs examples/finetune.mjs on the digits ResNet and the digits vision transformer, at 50 % of FLOPs and of parameters, and
// writes the table into docs/results.md.
//
//   node bench/finetune.mjs [--seeds 3] [--dry]
import os from "node:os";
import { parseArgs } from "node:util";

import { runExample } from "./lib/example.mjs";
import { writeSection } from "./lib/page.mjs";

const { values } = parseArgs({
  options: { seeds: { type: "string", default: "3" }, dry: { type: "boolean", default: false } },
});
const seeds = Number(values.seeds);

const rows = ["digits_resnet", "digits_vit"].flatMap((model) =>
  ["flops", "params"].map((metric) => {
    const runs = Array.from({ length: seeds }, (_, seed) => run(model, metric, seed));
    const list = (key) => runs.map((each) => each[key].toFixed(1)).join(", ");
    const worst = Math.max(...runs.map(({ full, after }) => full - after));
    const row = [
      `\`${model}\`, ${metric === "flops" ? "FLOPs" : "parameters"}`,
      ...[runs[0].full.toFixed(1), list("cost"), list("before"), list("after"), worst.toFixed(1)],
    ];
    process.stderr.write(`${row.join(" | ")}\n`);
    return row;
  }),
);

function run(model, metric, seed) {
  const budget = metric === "params" ? ["--params"] : [];
  const stdout = runExample("finetune.mjs", "--model", model, "--seed", seed, ...budget);
  const percent = (label) => Number(new RegExp(`^${label}: ([\\d.]+) %`, "m").exec(stdout)[1]);
  const accuracy = (what) => percent(`Accuracy on held-out images, ${what}`);
  return {
    cost: percent(metric === "flops" ? "FLOPs" : "Parameters"),
    full: accuracy("full model"),
    before: accuracy("subnet"),
    after: accuracy("after two epochs"),
  };
}

const lines = [
  "| model and budget of 50 % | full model | cost by seed, % | after the search | after two epochs | most under the full model |",
  "| --- | ---: | ---: | ---: | ---: | ---: |",
  ...rows.map((row) => `| ${row.join(" | ")} |`),
  "",
  `Accuracy in percent. Measured on ${os.cpus()[0].model.trim()}, one thread, Node ${process.versions.node}, by \`node bench/finetune.mjs --seeds ${seeds}\`.`,
];
console.log(lines.join("\n"));
if (!values.dry) writeSection("results.md", "finetune", lines.join("\n"));

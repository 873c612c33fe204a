// Runs examples/supernet.mjs on the digits ResNet and the digits vision transformer. Writes the table into
// docs/results.md.
//
//   node bench/supernet.mjs [--seeds 3] [--epochs 10] [--model digits_resnet …] [--dry]
import os from "node:os";
import { parseArgs } from "node:util";

import { runExample } from "./lib/example.mjs";
import { writeSection } from "./lib/page.mjs";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    epochs: { type: "string", default: "10" },
    model: { type: "string", multiple: true, default: ["digits_resnet", "digits_vit"] },
    dry: { type: "boolean", default: false },
  },
});
const seeds = Number(values.seeds);
const epochs = Number(values.epochs);

const rows = values.model.flatMap((model) => {
  const runs = Array.from({ length: seeds }, (_, seed) => run(model, seed));
  return ["before", "after"].map((when) => {
    const list = (key, digits) => runs.map((each) => each[when][key].toFixed(digits)).join(", ");
    const place = when === "before" ? "before" : `after ${epochs} epochs`;
    const seconds = when === "before" ? "" : runs.map((each) => each.seconds.toFixed(0)).join(", ");
    return [
      `\`${model}\`, ${place}`,
      list("mean", 1),
      list("worst", 1),
      list("loss", 3),
      list("full", 1),
      seconds,
    ];
  });
});

function run(model, seed) {
  const stdout = runExample("supernet.mjs", "--model", model, "--epochs", epochs, "--seed", seed);
  process.stderr.write(stdout);
  const line = (when) => {
    const pattern = `^${when}: mean ([\\d.]+) %, worst ([\\d.]+) %, cross-entropy ([\\d.]+), full model ([\\d.]+) %`;
    const [mean, worst, loss, full] = new RegExp(pattern, "m").exec(stdout).slice(1).map(Number);
    return { mean, worst, loss, full };
  };
  return {
    before: line("Before"),
    after: line("After"),
    seconds: Number(/steps in ([\d.]+) s/.exec(stdout)[1]),
  };
}

const lines = [
  "| model | mean accuracy by seed, % | worst of the 16 | mean cross-entropy | full model | seconds |",
  "| --- | ---: | ---: | ---: | ---: | ---: |",
  ...rows.map((row) => `| ${row.join(" | ")} |`),
  "",
  `Measured on ${os.cpus()[0].model.trim()}, one thread, Node ${process.versions.node}, by \`node bench/supernet.mjs ${process.argv.slice(2).join(" ")}\`.`,
];
console.log(lines.join("\n"));
if (!values.dry) writeSection("results.md", "supernet", lines.join("\n"));

// Runs examples/supernet.mjs on the digits ResNet and the digits vision transformer, and writes the table into docs/results.md.
//
//   node bench/supernet.mjs [--seeds 3] [--epochs 10] [--model digits_resnet …] [--dry]
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    epochs: { type: "string", default: "10" },
    model: { type: "string", multiple: true, default: ["digits_resnet", "digits_vit"] },
    dry: { type: "boolean", default: false },
  },
});
const seeds = Number(values.seeds);
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

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
  const args = ["examples/supernet.mjs", "--model", model, "--epochs", epochs, "--seed", seed].map(String);
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  if (status !== 0) throw new Error(`${args.join(" ")} failed`);
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
if (!values.dry) {
  const file = path.join(root, "docs", "results.md");
  const text = readFileSync(file, "utf8");
  const [begin, end] = ["<!-- supernet: begin -->", "<!-- supernet: end -->"];
  const at = text.indexOf(begin);
  if (at < 0) throw new Error(`docs/results.md has no ${begin}`);
  const rest = text.slice(text.indexOf(end));
  writeFileSync(file, `${text.slice(0, at)}${begin}\n${lines.join("\n")}\n${rest}`);
}

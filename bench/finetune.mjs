// Runs examples/finetune.mjs on the digits ResNet and the digits vision transformer, at 50 % of FLOPs and of parameters, and
// writes the table into docs/results.md.
//
//   node bench/finetune.mjs [--seeds 3] [--dry]
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { seeds: { type: "string", default: "3" }, dry: { type: "boolean", default: false } },
});
const seeds = Number(values.seeds);
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

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
  const args = ["examples/finetune.mjs", "--model", model, "--seed", String(seed)];
  if (metric === "params") args.push("--params");
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  if (status !== 0) throw new Error(`${args.join(" ")} failed`);
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
if (!values.dry) {
  const file = path.join(root, "docs", "results.md");
  const text = readFileSync(file, "utf8");
  const [begin, end] = ["<!-- finetune: begin -->", "<!-- finetune: end -->"];
  const at = text.indexOf(begin);
  if (at < 0) throw new Error(`docs/results.md has no ${begin}`);
  const rest = text.slice(text.indexOf(end));
  writeFileSync(file, `${text.slice(0, at)}${begin}\n${lines.join("\n")}\n${rest}`);
}

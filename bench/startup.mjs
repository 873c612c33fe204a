// Start-up: whole processes, from their start to the first forward and exit, in turns. Ours loads LibTorch through the
// addon, PyTorch's through `import torch`. A process that only starts Node, or Python, measures that part.
import { spawnSync } from "node:child_process";
import path from "node:path";
import { python } from "../scripts/lib/python.mjs";
import { root } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { finish, machine } from "./lib/report.mjs";
import { ratios, summary } from "./lib/stats.mjs";
import { ranged, ratio, table } from "./lib/text.mjs";

const options = benchOptions();
const before = machine(options);
const model = path.join(root, "test", "fixtures", "digits_cnn.pt");

const OURS = `
const { Module, Tensor } = require("torchsearch");
(async () => {
  const module = await Module.load(${JSON.stringify(model)});
  const output = await module.forward(Tensor.from(new Float32Array(64), [1, 1, 8, 8]));
  if (output.shape.join() !== "1,10") process.exit(1);
})();`;
const FORWARD = `
import torch
module = torch.jit.load(${JSON.stringify(model)})
with torch.inference_mode():
    if list(module(torch.zeros(1, 1, 8, 8)).shape) != [1, 10]: raise SystemExit(1)`;

const PROCESSES = {
  "torchsearch: load, forward": [process.execPath, ["-e", OURS]],
  "PyTorch: import torch, load, forward": [python, ["-c", FORWARD]],
  "PyTorch: import torch": [python, ["-c", "import torch"]],
  "Node alone": [process.execPath, ["-e", ""]],
  "Python alone": [python, ["-c", ""]],
};
const seconds = Object.fromEntries(Object.keys(PROCESSES).map((name) => [name, []]));
for (let round = -1; round < options.rounds; round++) {
  for (const [name, [program, args]] of Object.entries(PROCESSES)) {
    const start = performance.now();
    const { status, stderr } = spawnSync(program, args, { cwd: root, encoding: "utf8" });
    const took = (performance.now() - start) / 1000;
    if (status !== 0) throw new Error(`${name} failed: ${stderr}`);
    if (round >= 0) seconds[name].push(took); // the first round brings the files into the page cache
  }
}

const [ours, forward, bare] = Object.values(seconds);
const rows = Object.entries(seconds).map(([name, list]) => [name, ranged(summary(list), 1000)]);
finish("startup", options, {
  text: `${table(["process", "milliseconds"], rows)}

\`import torch\` and the first forward take ${ratio(ratios(forward, ours))} as long as ours; \`import torch\` alone takes
${ratio(ratios(bare, ours))} as long as ours with its forward (median, minimum–maximum of ${options.rounds} pairs).`,
  raw: seconds,
  before,
});

// Images a second and the peak of device memory on a CUDA device, ours against PyTorch's, from images in the CPU's
// memory, in turns, with graphs of kernels and without. Without a device, one line says that it was skipped. See
// docs/cuda.md.
import { createRequire } from "node:module";

import { graphCapture, initialize } from "torchsearch";

import { run } from "../scripts/lib/run.mjs";
import { benchOptions } from "./lib/options.mjs";
import { ensurePeers, peerPython } from "./lib/peers.mjs";
import { finish, machine } from "./lib/report.mjs";
import { median, ratios } from "./lib/stats.mjs";
import { number, ratio, table } from "./lib/text.mjs";
import { Worker } from "./lib/worker.mjs";

await initialize();
if (
  createRequire(import.meta.url)("../dist/native/addon.js")
    .addon()
    .versions().cuda
)
  await measureAll();
else console.log("CUDA benchmark skipped: this LibTorch sees no CUDA device.");

async function measureAll() {
  const options = benchOptions();
  const before = machine(options);
  const cases = [
    { model: "digits_cnn", batch: 64, images: 4096 },
    ...["resnet18", "mobilenet_v2", "vit_b_16"].flatMap((model) =>
      [1, 8, 64].map((batch) => ({ model, batch, images: 128 })),
    ),
  ].filter(({ model, batch }) => options.wanted(`${model}:${batch}`));
  await ensurePeers();
  const models = [...new Set(cases.map(({ model }) => model))];
  run(peerPython, ["-W", "ignore", "bench/python/assets.py", ...models], {
    remedy: "See its message above.",
  });

  const workers = { ours: Worker.ours("workers/torchsearch.mjs"), pytorch: Worker.python("worker.py") };
  const graphs = graphCapture("cuda:0").offered;
  const sides = [
    ["ours", "module"],
    ...(graphs ? [["ours", "graphs"]] : []),
    ["ours", "space"],
    ["pytorch", "eager"],
    ["pytorch", "script"],
  ];
  const results = [];
  for (const { model, batch, images } of cases) {
    const load = { op: "load", model, batch, images, device: "cuda:0" };
    await workers.ours.ask({ ...load, graphs });
    await workers.pytorch.ask({ ...load, variants: ["eager", "script"] });
    const rates = Object.fromEntries(sides.map(([, variant]) => [variant, []]));
    const peaks = {}; // megabytes
    for (let round = 0; round < options.rounds; round++) {
      for (const [worker, variant] of sides) {
        const seconds = options.quick ? 0.05 : 0.5;
        const { imagesPerSecond, peakBytes } = await workers[worker].ask({ op: "run", variant, seconds });
        rates[variant].push(imagesPerSecond);
        peaks[variant] = Math.max(peaks[variant] ?? 0, peakBytes / 1e6);
      }
    }
    results.push({ model, batch, rates, peaks });
  }
  for (const worker of Object.values(workers)) await worker.close();
  const rows = results.map(({ model, batch, rates, peaks }) => [
    `${model}, ${batch}`,
    ...sides.map(([, variant]) => number(median(rates[variant]))),
    ratio(ratios(rates.module, rates.eager)),
    ratio(ratios(rates.module, rates.script)),
    number(peaks.module),
    number(peaks.eager),
  ]);
  const header = [
    "model, batch",
    "ours",
    ...(graphs ? ["with graphs"] : []),
    "search space",
    "eager",
    "TorchScript",
    "ours : eager",
    "ours : TorchScript",
    "peak, ours",
    "peak, eager",
  ];
  finish("cuda", options, {
    page: "cuda.md",
    text: `Images a second, median of ${options.rounds} rounds, and the allocator's peak in MB:\n\n${table(header, rows)}`,
    raw: results,
    before,
  });
}

// Our side of bench/pass-costs.mjs: each request is one task, timed once; the loader's batches are the same in all of them.
import path from "node:path";

import { convert, Module, topKAccuracy } from "torchsearch";

import { scratch } from "../lib/page.mjs";
import { repeated } from "../lib/repeated.mjs";
import { serve } from "../lib/serve.mjs";

let at = null;

async function load({ model, batch, images }) {
  for (const each of at === null ? [] : [at.space, at.subnet, at.module]) each.close();
  const file = path.join(scratch, `${model}.pt`);
  const { loader, example } = await repeated(path.join(scratch, `${model}.npz`), images, batch);
  const module = (await Module.load(file)).eval();
  const space = await convert(await Module.load(file), "fastnas", example);
  const half = Object.fromEntries(
    space.hyperparameters.map(({ name, choices }) => [name, choices[Math.floor(choices.length / 2)]]),
  );
  space.select(half);
  const subnet = await space.export();
  at = { file, loader, example, module, space, half, subnet, score: topKAccuracy(loader) };
  return { normalized: module.namedBuffers().some(({ name }) => name.endsWith("running_var")) };
}

async function timed(body) {
  const start = performance.now();
  await body();
  return { seconds: (performance.now() - start) / 1000 };
}

/** One pass of `module.forward` over the loader's batches. */
async function pass(module) {
  for (const { images } of at.loader) (await module.forward(images)).close();
}

function recalibrate(config) {
  at.space.select(config);
  return timed(() => at.space.recalibrate(at.loader));
}

/** Seconds of a conversion that ranks channels by an importance. */
async function conversion(config) {
  const module = await Module.load(at.file);
  let space;
  const { seconds } = await timed(async () => {
    space = await convert(module, "fastnas", at.example, config);
  });
  space.close();
  module.close();
  return seconds;
}

await serve({
  load,
  forward: () => timed(() => pass(at.module)),
  prepared: () => timed(() => at.score(at.module)),
  halfForward: () => timed(() => pass(at.subnet)),
  recalibrate: () => recalibrate(at.space.fullConfig),
  halfRecalibrate: () => recalibrate(at.half),
  taylor: () => timed(() => at.space.channelScores({ data: at.loader })),
  /** A pass without the cost of its first batch, which records the model at this size and tries its prepared form. */
  async activation() {
    const config = { importance: "activation", data: at.loader };
    const first = await conversion({ ...config, maxBatches: 1 });
    const { batches } = at.loader;
    return { seconds: (((await conversion(config)) - first) * batches) / (batches - 1) };
  },
  async firstActivation() {
    const unranked = await conversion({ importance: "none" });
    return {
      seconds: (await conversion({ importance: "activation", data: at.loader, maxBatches: 1 })) - unranked,
    };
  },
  async weights() {
    const unranked = await conversion({ importance: "none" });
    return { seconds: (await conversion({ importance: "l1" })) - unranked };
  },
  /** A latency table: the number of `subnets`, and of their `forwards` in all. */
  async table({ warmup, repeats }) {
    const rounds = Math.min(3, repeats);
    let subnets = 0;
    const onProgress = ({ phase, total }) => {
      if (phase === "latency") subnets = total / rounds;
    };
    const { seconds } = await timed(() =>
      at.space.measureLatency({ warmup, repeats, threads: 1, onProgress }),
    );
    // The first round warms up `warmup` times, the later ones once.
    return { seconds, subnets, forwards: subnets * (repeats + warmup + (rounds - 1) * Math.min(1, warmup)) };
  },
  /** Forwards of the dummy input, one by one. */
  examples: ({ count }) =>
    timed(async () => {
      for (let i = 0; i < count; i++) (await at.module.forward(at.example)).close();
    }),
});

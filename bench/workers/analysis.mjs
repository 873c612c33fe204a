// Our side of bench/profile.mjs; the requests are the tasks.
import path from "node:path";

import { convert, Module, profile, Tensor } from "torchsearch";

import { scratch } from "../lib/page.mjs";
import { serve } from "../lib/serve.mjs";

const example = Tensor.from(new Float32Array(3 * 224 * 224), [1, 3, 224, 224]);
let file;
let module;

async function load({ model }) {
  module?.close();
  file = path.join(scratch, `${model}.pt`);
  module = await Module.load(file);
}

async function timed(body) {
  const start = performance.now();
  const result = await body();
  return { seconds: (performance.now() - start) / 1000, result };
}

await serve({
  load,
  profile: async () => {
    const { seconds, result } = await timed(() => profile(module, example, { metrics: ["flops"] }));
    return { seconds, macs: result.macs };
  },
  // A space of a module that is one already would find the channels in order.
  convert: async () => {
    const fresh = await Module.load(file);
    const { seconds, result } = await timed(() => convert(fresh, "fastnas", example));
    result.close();
    fresh.close();
    return { seconds };
  },
});

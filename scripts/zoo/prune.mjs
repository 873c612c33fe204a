// Converts a model in a fresh process, halves every width, and exports the subnet; Python judges the file afterwards.
import { createRequire } from "node:module";
import path from "node:path";

import { root } from "../lib/run.mjs";
import * as measure from "./measure.mjs";

const require = createRequire(import.meta.url);
const { convert, Module, profile, Tensor, TorchSearchError } = require(path.join(root, "dist", "index.js"));
const { prunability } = require(path.join(root, "dist", "entries", "space.js"));

const PRICES = ["params", "macs", "flops", "size"];

/** Half of every width: the largest choice up to that, else the smallest. A depth stays as it is. */
function halfConfig(space) {
  return Object.fromEntries(
    space.hyperparameters.map(({ name, kind, choices, full }) => {
      if (kind === "depth") return [name, full];
      return [name, choices.filter((width) => width <= full / 2).at(-1) ?? choices[0]];
    }),
  );
}

export async function run({ file, expectation, subnetFile, tensorsFile }, stage) {
  const { module, space, inputs } = await stage("convert", async () => {
    Tensor.from([0]).close();
    const base = measure.resident();
    const module = await Module.load(file);
    const loaded = measure.resident();
    const { inputs, outputs } = await measure.readExpectation(expectation);
    const start = performance.now();
    const { value: space, peak: convertPeak } = await measure.peakOf(() =>
      convert(module, "fastnas", inputs),
    );
    const convertSeconds = Number(((performance.now() - start) / 1000).toFixed(3));
    // The conversion reordered channels. If one were tied wrongly, the output would change.
    const output = await space.forward(...inputs);
    const difference = measure.requireClose(measure.tensorsOf(output), outputs, "The converted model");
    measure.closeAll(output);
    const { narrowableParams, whole } = prunability(module, space);
    const kinds = {};
    for (const { kind } of space.hyperparameters) kinds[kind] = (kinds[kind] ?? 0) + 1;
    return {
      keep: { module, space, inputs },
      memory: { base, loaded, convert: convertPeak },
      convertSeconds,
      difference,
      hyperparameters: space.hyperparameters.length,
      kinds,
      narrowableParams,
      whole: whole.map(({ dimensions, ...sums }) => ({ ...sums, dimensions: dimensions.length })),
    };
  });

  await stage("prune", async () => {
    if (space.hyperparameters.length === 0) {
      throw new TorchSearchError("NOTHING_TO_PRUNE", "No dimension of this model can be narrowed.");
    }
    const config = halfConfig(space);
    const full = space.costs(space.fullConfig);
    const half = space.costs(config);
    const smallest = space.costs(space.smallestConfig);
    space.select(config);
    const output = measure.tensorsOf(await space.forward(...inputs));
    const magnitude = measure.magnitudeOf(output);
    measure.writeTensors(tensorsFile, inputs, output);
    for (const tensor of output) tensor.close();
    return { costs: { full, half, smallest }, magnitude };
  });

  await stage("export", async () => {
    const subnet = await space.export();
    await subnet.save(subnetFile);
    const fresh = await profile(subnet, inputs, { metrics: ["flops"] });
    const promised = space.costs(space.active);
    for (const metric of PRICES) {
      if (fresh[metric] === promised[metric]) continue;
      throw new TorchSearchError(
        "COST_DIFFERS",
        `cost() says ${promised[metric]} ${metric}, a profile of the exported subnet ${fresh[metric]}.`,
      );
    }
    const subnetMs = await measure.fastest(() => subnet.forward(...inputs));
    subnet.close();
    return { subnetMs };
  });
  space.close();
  module.close();
}

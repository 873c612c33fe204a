// The native half: converts a model, exports subnets of it, and says what was promised. A process of its own, because a
// crash must not end the run; it takes one model after the other, and reports each step before it begins.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { root } from "../../lib/run.mjs";

const require = createRequire(import.meta.url);
const dist = (...file) => require(path.join(root, "dist", ...file));
const { convert, Module, profile, setThreads, Tensor, TorchSearchError } = dist("index.js");
const { decodeSafetensors, encodeSafetensors } = dist("data", "safetensors.js");
const { tensorFromRaw, tensorToRaw } = dist("data", "raw-tensor.js");
const { Random } = dist("util", "random.js");

const PRICES = ["params", "macs", "flops", "size", "memory"];
const TOLERANCE = 2e-4;

/** Sentences that name what an export is without. */
const warnings = [];
process.on("warning", ({ message }) => warnings.push(message));

let step = "";
const begin = (name) => {
  step = name;
  process.send({ step: name });
};

const tensorsOf = (value) => {
  if (value instanceof Tensor) return [value];
  return value === null || typeof value !== "object" ? [] : Object.values(value).flatMap(tensorsOf);
};
const closeAll = (tensors) => {
  for (const tensor of tensors) tensor.close();
};

/** The largest difference relative to each tensor's magnitude; infinite where shapes differ. */
function difference(actual, expected) {
  if (JSON.stringify(actual.map((x) => x.shape)) !== JSON.stringify(expected.map((x) => x.shape)))
    return Infinity;
  let worst = 0;
  actual.forEach((tensor, i) => {
    const x = tensor.data();
    const y = expected[i].data();
    const scale = y.reduce((most, v) => Math.max(most, Math.abs(Number(v))), 1e-3);
    x.forEach((v, at) => {
      const d = Math.abs(Number(v) - Number(y[at])) / scale;
      if (Number.isNaN(d) ? !(Number.isNaN(v) && Number.isNaN(y[at])) : d > worst)
        worst = Number.isNaN(d) ? Infinity : d;
    });
  });
  return worst;
}

/** The subnets to try: the smallest, the full, a mixed one, random ones, and some hyperparameters alone. */
function subnetsOf(space, seed, randoms) {
  const rng = new Random(seed);
  const hyperparameters = space.hyperparameters;
  const mixed = Object.fromEntries(
    hyperparameters.map(({ name, choices }, i) => [name, choices[(i * 7 + 1) % choices.length]]),
  );
  const subnets = [
    { label: "full", config: space.fullConfig },
    { label: "smallest", config: space.smallestConfig },
    { label: "mixed", config: mixed, deep: true },
  ];
  for (let i = 0; i < randoms; ++i) subnets.push({ label: `random ${i}`, config: space.sample(rng) });
  const start = hyperparameters.length > 0 ? rng.integer(hyperparameters.length) : 0;
  for (let i = 0; i < Math.min(randoms, hyperparameters.length); ++i) {
    const { name, choices } = hyperparameters[(start + i) % hyperparameters.length];
    if (choices.length < 2) continue;
    subnets.push({
      label: `${name} = ${choices[0]}`,
      only: name,
      config: { ...space.fullConfig, [name]: choices[0] },
    });
  }
  return subnets.map((subnet) => ({
    only: null,
    deep: false,
    ...subnet,
    full: subnet.label === "full",
    leavesOut: hyperparameters.some(({ name, kind }) => kind === "depth" && subnet.config[name] === 0),
  }));
}

/** One subnet: selected, run, priced, exported, profiled and saved; what Python needs to judge it. */
async function trySubnet(space, subnet, inputs, folder, at, report) {
  const { label, config } = subnet;
  const fault = (kind, message) => report.faults.push({ kind, message, label });
  begin(`${label}: select`);
  space.select(config);
  begin(`${label}: forward`);
  const outputs = [tensorsOf(await space.forward(inputs[0]))];
  const costs = space.costs(config);
  begin(`${label}: export`);
  const exported = await space.export();
  const file = path.join(folder, `subnet${at}.pt`);
  begin(`${label}: save`);
  await exported.save(file);
  begin(`${label}: profile`);
  const fresh = await profile(exported, [inputs[0]], { metrics: ["flops"] });
  for (const metric of PRICES)
    if (fresh[metric] !== costs[metric])
      fault(
        `cost-${metric}`,
        `promised ${costs[metric]} ${metric}, a profile of the export finds ${fresh[metric]}`,
      );
  begin(`${label}: export's forward`);
  const own = tensorsOf(await exported.forward(inputs[0]));
  const apart = difference(own, outputs[0]);
  if (apart > TOLERANCE)
    fault("export-differs", `the export differs from the space by ${apart.toExponential(1)}`);
  if (subnet.deep) {
    begin(`${label}: other threads`);
    setThreads(2);
    const again = [tensorsOf(await space.forward(inputs[0])), tensorsOf(await exported.forward(inputs[0]))];
    setThreads(1);
    const threads = Math.max(...again.map((tensors) => difference(tensors, outputs[0])));
    if (threads > TOLERANCE)
      fault("threads", `with two threads the space or its export differs by ${threads.toExponential(1)}`);
    closeAll(again.flat());
  }
  for (const input of inputs.slice(1)) {
    begin(`${label}: forward at ${input.shape}`);
    try {
      outputs.push(tensorsOf(await space.forward(input)));
    } catch (error) {
      outputs.push([]);
      if (!(error instanceof TorchSearchError)) throw error;
      report.refusals.push(`other size: ${error.code}: ${error.message.split("\n")[0].slice(0, 160)}`);
    }
  }
  const entries = outputs.flatMap((list, i) =>
    list.map((tensor, j) => [`out${i}_${j}`, tensorToRaw(tensor)]),
  );
  const saved = path.join(folder, `subnet${at}.safetensors`);
  writeFileSync(saved, Buffer.concat(encodeSafetensors(new Map(entries))));
  closeAll([...own, ...outputs.flat()]);
  exported.close();
  return { ...subnet, file, outputs: saved, costs };
}

async function run({ file, inputs: inputsFile, folder, divisor, seed, randoms }) {
  const report = { faults: [], refusals: [], subnets: [], hyperparameters: [], refused: null };
  const fail = (label, error) => {
    const coded = error instanceof TorchSearchError;
    const name = coded ? error.code : (error?.name ?? "Error");
    report.faults.push({
      kind: coded ? `error ${label} ${name}` : `uncoded ${label}`,
      message: `at ${step}: ${name}: ${String(error?.message ?? error).slice(0, 400)}`,
      label: step,
    });
  };
  const { tensors } = await decodeSafetensors(readFileSync(inputsFile));
  const names = [...tensors.keys()].sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)));
  const inputs = names.map((name) => tensorFromRaw(tensors.get(name)));
  let module;
  let space;
  try {
    begin("load");
    module = await Module.load(file);
    begin("convert");
    try {
      space = await convert(module, "fastnas", inputs[0], { channelDivisor: divisor });
    } catch (error) {
      if (!(error instanceof TorchSearchError) || error.code === "ERR_UNEXPECTED") throw error;
      report.refused = { code: error.code, message: error.message.slice(0, 400) };
      return report;
    }
    report.hyperparameters = space.hyperparameters.map(({ name, kind, choices }) => ({
      name,
      kind,
      choices,
    }));
    warnings.length = 0;
    warnings.push(...(space.exportLosses ?? []));
    let at = 0;
    for (const subnet of subnetsOf(space, seed, randoms)) {
      try {
        const made = await trySubnet(space, subnet, inputs, folder, at++, report);
        await new Promise(setImmediate); // warnings come a moment later
        report.subnets.push({ ...made, said: [...warnings] });
      } catch (error) {
        fail(
          step
            .split(": ")
            .at(-1)
            .replace(/ at .*/, " other size"),
          error,
        );
      }
    }
  } catch (error) {
    fail(step, error);
  } finally {
    closeAll(inputs);
    space?.close();
    module?.close();
  }
  return report;
}

setThreads(1);
process.on("message", async (request) => {
  try {
    process.send({ report: await run(request) });
  } catch (error) {
    process.send({
      report: {
        faults: [{ kind: `uncoded ${step}`, message: String(error?.stack ?? error), label: step }],
        refusals: [],
        subnets: [],
        hyperparameters: [],
        refused: null,
      },
    });
  }
});

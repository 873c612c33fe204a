/**
 * Every kind of job runs while one allocation of the addon fails: its first, its second, and so on, until none is left to
 * fail. Prints a line of JSON for each job. Runs under faults.cpp.
 */
import { existsSync, rmSync } from "node:fs";
import path from "node:path";

import { convert, crossEntropy, finetune, Module, profile, type Tensor, TensorDataLoader } from "../../lib";
import { TorchSearchError } from "../../lib/errors";
import { digitsInput } from "../support/small-runs";
import type { Tried } from "./program";

const [fixtures, scratch] = process.argv.slice(2) as [string, string];
const hit = path.join(scratch, "hit");
const at = (...names: string[]): string => path.join(fixtures, ...names);
/** Beyond these, only one of so many fails. */
const DENSE = 30;

async function jobs(): Promise<Record<string, () => Promise<unknown>>> {
  const module = await Module.load(at("digits_cnn.pt"));
  const space = await convert(module, "fastnas", digitsInput());
  const small = await Module.load(at("finetune", "dropout.pt"));
  const data = await TensorDataLoader.fromNpz(at("finetune", "data.npz"), {
    keys: ["images", "labels"],
    batchSize: 8,
  });
  return {
    load: async () => (await Module.load(at("digits_cnn.pt"))).close(),
    "load of an exported program": async () => (await Module.load(at("exported", "tiny.pt2"))).close(),
    "sample inputs": () => Module.sampleInputs(at("exported", "tiny.pt2")),
    forward: async () => ((await module.forward(digitsInput())) as Tensor).close(),
    fingerprint: () => module.fingerprint(),
    profile: () => profile(module, digitsInput(), { metrics: ["params", "flops", "memory"] }),
    convert: async () => (await convert(module, "fastnas", digitsInput())).close(),
    select: async () => {
      await space.select(space.smallestConfig);
      ((await space.forward(digitsInput())) as Tensor).close();
      await space.select(space.fullConfig);
    },
    export: async () => (await space.export()).close(),
    save: () => module.save(path.join(scratch, "saved.pt")),
    score: async () => crossEntropy(data)(small, {}),
    finetune: () => finetune(small, data, { steps: 2 }),
  };
}

/** One allocation fails. False when there was no such one. */
async function tryOne(run: () => Promise<unknown>, number: number, faults: string[]): Promise<boolean> {
  rmSync(hit, { force: true });
  process.env.TORCHSEARCH_FAULT = `small ${number} / ${hit}`;
  const error = await run().then(
    () => null,
    (thrown) => thrown,
  );
  process.env.TORCHSEARCH_FAULT = "";
  if (!existsSync(hit)) return false;
  // Where what failed was dispensable, there is a result.
  if (error !== null && !(error instanceof TorchSearchError && error.code === "ERR_OUT_OF_MEMORY"))
    faults.push(`allocation ${number}: ${error.stack}`);
  return true;
}

async function main(): Promise<void> {
  for (const [target, run] of Object.entries(await jobs())) {
    const tried: Tried = { target, failed: { small: 0 }, faults: [] };
    await run();
    for (let number = 1; await tryOne(run, number, tried.faults); ) {
      tried.failed.small = (tried.failed.small ?? 0) + 1;
      number += number < DENSE ? 1 : Math.ceil(number / 4);
    }
    await run().catch((error) => tried.faults.push(`afterwards: ${error.stack}`));
    process.stdout.write(`${JSON.stringify(tried)}\n`);
  }
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});

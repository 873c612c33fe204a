// A process of its own for the native half of a model's check: `child.mjs '{"task": "profile" | "prune", …}'`. It tells
// its parent of every stage as it begins and ends, so that a crash is known by the stage that never ended.

import path from "node:path";
import { pathToFileURL } from "node:url";

import { root } from "../lib/run.mjs";

const request = JSON.parse(process.argv[2]);
const tell = (message) => new Promise((resolve) => process.send(message, resolve));

/** Runs a stage. What it gives is the parent's; what it throws ends the process after the parent knows. */
async function stage(name, body) {
  await tell({ stage: name, status: "begun" });
  const start = performance.now();
  const seconds = () => Number(((performance.now() - start) / 1000).toFixed(3));
  try {
    const { keep, ...facts } = (await body()) ?? {};
    await tell({ stage: name, status: "ok", seconds: seconds(), facts });
    return keep;
  } catch (error) {
    const code = error?.code ?? error?.name ?? "Error";
    const message = String(error?.message ?? error).slice(0, 1500);
    await tell({ stage: name, status: "failed", seconds: seconds(), code, message });
    process.exit(1);
  }
}

const task = await import(pathToFileURL(path.join(root, "scripts", "zoo", `${request.task}.mjs`)).href);
await task.run(request, stage);
process.disconnect();

// A process of its own for the native half of a model's check: `child.mjs '{"task": "profile" | "prune", …}'`. It
// reports the beginning and the end of every stage to its parent. After a crash, the stage without an end is the cause.

import path from "node:path";
import { pathToFileURL } from "node:url";

import { root } from "../lib/run.mjs";

const request = JSON.parse(process.argv[2]);
const report = (message) => new Promise((resolve) => process.send(message, resolve));

/** Runs a stage and reports its result to the parent. An error is reported too, and then ends the process. */
async function stage(name, body) {
  await report({ stage: name, status: "begun" });
  const start = performance.now();
  const seconds = () => Number(((performance.now() - start) / 1000).toFixed(3));
  try {
    const { keep, ...facts } = (await body()) ?? {};
    await report({ stage: name, status: "ok", seconds: seconds(), facts });
    return keep;
  } catch (error) {
    const code = error?.code ?? error?.name ?? "Error";
    const message = String(error?.message ?? error).slice(0, 1500);
    await report({ stage: name, status: "failed", seconds: seconds(), code, message });
    process.exit(1);
  }
}

const task = await import(pathToFileURL(path.join(root, "scripts", "zoo", `${request.task}.mjs`)).href);
await task.run(request, stage);
process.disconnect();

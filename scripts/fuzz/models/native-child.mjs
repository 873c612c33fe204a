// The parent's side of child.mjs: one process that takes requests, and another after a crash.
import { fork } from "node:child_process";
import path from "node:path";

import { root } from "../../lib/run.mjs";
import { watch } from "../../zoo/limits.mjs";

const CHILD = path.join(root, "scripts", "fuzz", "models", "child.mjs");
const LIMITS = { seconds: 60, bytes: 2 * 2 ** 30 };
/** A fresh process now and then keeps memory small. */
const MODELS_PER_PROCESS = 200;

export class NativeChild {
  #env;
  #process = null;
  #taken = 0;

  /** @param {Record<string, string>} env says which LibTorch to use */
  constructor(env) {
    this.#env = env;
  }

  /** @returns {Promise<object>} the child's report; a crash is a fault in it */
  run(request) {
    if (++this.#taken % MODELS_PER_PROCESS === 0) this.close();
    this.#process ??= fork(CHILD, [], {
      env: { ...process.env, OMP_NUM_THREADS: "1", ...this.#env },
      stdio: ["ignore", 2, "pipe", "ipc"],
    });
    const child = this.#process;
    let step = "start";
    let stderr = "";
    let breach = null;
    return new Promise((resolve) => {
      const unwatch = watch(child, LIMITS, (error) => {
        breach = error;
      });
      const end = (report) => {
        unwatch();
        child.removeAllListeners();
        child.stderr.removeAllListeners();
        resolve(report);
      };
      child.stderr.on("data", (chunk) => {
        stderr = (stderr + chunk).slice(-1500);
      });
      child.on("message", (message) => {
        if (message.step !== undefined) step = message.step;
        else end(message.report);
      });
      child.once("close", (code, signal) => {
        this.#process = null;
        const how = breach === null ? (signal ?? `exit code ${code}`) : `${breach.code}: ${breach.message}`;
        const where = step
          .split(": ")
          .at(-1)
          .replace(/ at .*/, " other size");
        const kind = breach === null ? `crash ${where}` : `limit ${where}`;
        const fault = {
          kind,
          message: `the process ended (${how}) at ${step}: ${stderr.slice(-300)}`,
          label: step,
        };
        end({ faults: [fault], refusals: [], subnets: [], hyperparameters: [], refused: null });
      });
      child.send(request);
    });
  }

  close() {
    this.#process?.removeAllListeners();
    this.#process?.disconnect();
    this.#process = null;
  }
}

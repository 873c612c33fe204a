// Runs a program of examples/ and returns its output.
import { spawnSync } from "node:child_process";

import { root } from "../../scripts/lib/run.mjs";

/** Its standard output. One thread. */
export function runExample(file, ...options) {
  const args = [`examples/${file}`, ...options].map(String);
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  if (status !== 0) throw new Error(`${args.join(" ")} failed`);
  return stdout;
}

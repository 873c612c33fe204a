// What test programs counted.
import { spawnSync } from "node:child_process";

import { root } from "./run.mjs";

/** A program that failed although no test did (a crash, an error outside any test) counts as one failure. */
export function settled(counts, status) {
  return status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/**
 * Runs C++ tests (doctest), and shows their output. Its summary line has been stable for years; the JUnit reporter counts
 * assertions.
 */
export function runDoctest(program, env) {
  const { status, stdout, stderr } = spawnSync(
    program,
    ["--no-intro", "--no-colors", "--no-path-filenames"],
    {
      cwd: root,
      env: { ...process.env, ...env },
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    },
  );
  process.stderr.write(stdout + stderr);
  const summary = /test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed \|(?:\s*(\d+) skipped)?/.exec(
    stdout,
  );
  if (summary === null) return { passed: 0, failed: 1, skipped: 0 };
  const [passed, failed, skipped] = summary.slice(1).map((text) => Number(text ?? 0));
  return settled({ passed, failed, skipped }, status);
}

// What a benchmark was measured on, in one sentence.
import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { capture, root } from "../../scripts/lib/run.mjs";

/** The commit, and whether files differ from it; null outside a checkout. */
function commit() {
  const hash = capture("git", ["rev-parse", "--short", "HEAD"]);
  if (!hash) return null;
  return capture("git", ["status", "--porcelain", "--untracked-files=no"]) ? `${hash} with changes` : hash;
}

/** Cores, memory, versions, threads, commit, and how busy the machine was. */
export function machine({ threads }) {
  const cpus = os.cpus();
  const { torch } = JSON.parse(readFileSync(path.join(root, "build", "Release", "torchsearch.json"), "utf8"));
  const at = commit();
  const parts = [
    `${cpus[0].model.trim()}, ${cpus.length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GB`,
    `${threads} thread${threads === 1 ? "" : "s"} on each side`,
    `LibTorch ${torch}, Node ${process.versions.node}`,
    ...(at ? [`commit ${at}`] : []),
    `load average ${os.loadavg()[0].toFixed(1)} before`,
  ];
  return `${parts.join("; ")}.`;
}

// `node scripts/first-hour.mjs [--tarball FILE]`: the first hour of three new users, from the packed file in empty folders:
// a Node engineer (from the file to a subnet that PyTorch checks), a researcher (an optimizer of one's own, killed three
// times, resumed exactly) and an ML engineer in the terminal (search, finetune, report). Prints the minutes, commands and
// decisions of each. `npm test -- first-hour` does the same.
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { clean, firstHour } from "./lib/first-hour.mjs";
import { pack } from "./lib/pack.mjs";
import { python, torchRoot } from "./lib/python.mjs";
import { main, say } from "./lib/run.mjs";

/** The table of what `firstHour` gives. */
export function tableOf(users) {
  const lines = Object.entries(users).flatMap(([name, { minutes, commands, decisions }]) => [
    `${name}: ${minutes.toFixed(1)} minutes, ${commands.length} commands, ${decisions.length} decisions`,
    ...commands.map((command) => `  $ ${command}`),
    ...decisions.map((decision) => `  ? ${decision}`),
  ]);
  return `${lines.join("\n")}\n`;
}

main(async () => {
  const { values } = parseArgs({ options: { tarball: { type: "string" } } });
  const env = { TORCHSEARCH_LIBTORCH: process.env.TORCHSEARCH_LIBTORCH ?? torchRoot() };
  const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-first-hour-"));
  try {
    const tarball = values.tarball ? path.resolve(values.tarball) : pack(folder, env).tarball;
    const users = await firstHour(tarball, folder, { env, python: process.env.TORCHSEARCH_PYTHON ?? python });
    process.stdout.write(tableOf(users));
    say("All three reached a result.");
  } finally {
    clean(folder);
  }
});

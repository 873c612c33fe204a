// Writes the options of every command into docs/cli.md, from the command's own `--help`: `node scripts/cli-reference.mjs`.
// A test compares the two.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { main, root } from "./lib/run.mjs";

main(() => {
  const file = path.join(root, "docs", "cli.md");
  const command = path.join(root, "dist", "cli", "main.js");
  const help = (...args) =>
    spawnSync(process.execPath, [command, ...args, "--help"], { encoding: "utf8" }).stdout.trim();
  const names = [...help().matchAll(/^ {2}(\w+) /gm)]
    .map((match) => match[1])
    .filter((name) => name !== "help");
  const sections = names.map((name) => `### torchsearch ${name}\n\n\`\`\`text\n${help(name)}\n\`\`\`\n`);
  const heading = "## All options\n";
  const [before] = readFileSync(file, "utf8").split(heading);
  writeFileSync(file, `${before}${heading}\n${sections.join("\n")}`);
});

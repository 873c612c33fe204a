// `npm run bench -- NAME [options]` builds what a benchmark needs and runs it. Without a name, lists them all.
import { spawnSync } from "node:child_process";
import path from "node:path";

import { python } from "../scripts/lib/python.mjs";
import { main, root, run, SetupError } from "../scripts/lib/run.mjs";
import { setup } from "../scripts/lib/setup.mjs";
import { BENCHMARKS } from "./lib/list.mjs";

main(async () => {
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined || name === "--help" || name === "--list") return list();
  const found = BENCHMARKS.find((each) => each.name === name);
  if (found === undefined)
    throw new SetupError(
      `There is no benchmark "${name}": choose of ${BENCHMARKS.map((each) => each.name).join(", ")}.`,
    );
  const { env } = await setup(["zoo"]);
  const { models = [], takesFiles = false } = found;
  if (models.length > 0) makeModels(models);
  if (takesFiles && args.every((arg) => arg.startsWith("--")))
    args.push(...models.map((model) => path.join(".zoo", `${model}.scripted.pt`)));
  const { status } = spawnSync(process.execPath, [path.join("bench", `${found.file ?? name}.mjs`), ...args], {
    cwd: root,
    // Never more threads than cores. Single numbers are compared at one thread.
    env: { OMP_NUM_THREADS: "1", ...process.env, ...env },
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
});

/** Scripted models with random weights; those that are there stay. */
function makeModels(models) {
  const names = models.map((model) => `${model}:scripted`);
  run(
    python,
    ["-W", "ignore", path.join("scripts", "fixtures", "architectures.py"), "--out", ".zoo", ...names],
    {
      remedy: "See its message above.",
    },
  );
}

function list() {
  console.log("npm run bench -- NAME [--quick] [--dry] [--rounds N] [--threads N] [--only WORD,…]\n");
  console.log("costs and what follows it have options of their own instead: see the heads of their files.\n");
  const width = Math.max(...BENCHMARKS.map(({ name }) => name.length));
  for (const { name, minutes, page, what } of BENCHMARKS)
    console.log(`${name.padEnd(width)}  ${what} (about ${minutes} min${page ? `; docs/${page}` : ""})`);
}

// `npm run fuzz -- [--minutes N] [--seed S] [--kinds …]`: builds what is needed, then reads mutated files of all kinds
// (test/fuzz/main.ts).
import { mkdirSync } from "node:fs";
import path from "node:path";

import { bundleTests } from "./lib/bundle-tests.mjs";
import { main, root, run } from "./lib/run.mjs";
import { setup } from "./lib/setup.mjs";

main(async () => {
  const { env } = await setup();
  const folder = path.join(root, ".build", "fuzz");
  mkdirSync(folder, { recursive: true });
  const program = await bundleTests("fuzz/main.ts", path.join(folder, "main.cjs"));
  run(process.execPath, [program, ...process.argv.slice(2)], {
    env: { ...env, NODE_PATH: path.join(root, "node_modules") },
  });
});

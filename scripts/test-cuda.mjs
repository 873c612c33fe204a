// `npm run test:cuda`: the tests in test/cuda. Without a CUDA device, one line says that they were skipped.
import { spawnSync } from "node:child_process";
import path from "node:path";

import { capture, main, root, SetupError } from "./lib/run.mjs";
import { setup } from "./lib/setup.mjs";

main(async () => {
  const { env } = await setup(["zoo"]);
  const environment = { ...process.env, ...env };
  const ask = 'process.stdout.write(String(require("./dist/native/addon.js").addon().versions().cuda))';
  const answer = capture(process.execPath, ["-e", ask], { env: environment });
  if (answer === undefined)
    throw new SetupError("The addon cannot be loaded; `npx torchsearch doctor` says why.");
  if (answer !== "true") {
    process.stdout.write("CUDA tests skipped: this LibTorch sees no CUDA device.\n");
    return;
  }
  const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs");
  const { status } = spawnSync(process.execPath, [vitest, "run", "test/cuda"], {
    cwd: root,
    env: environment,
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
});

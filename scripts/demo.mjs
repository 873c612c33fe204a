// `npm run demo`: sets up what is needed and runs the demo search.
import { existsSync } from "node:fs";
import path from "node:path";

import { main, root, run, SetupError } from "./lib/run.mjs";
import { setup } from "./lib/setup.mjs";

main(async () => {
  const demo = path.join(root, "examples", "digits.mjs");
  if (!existsSync(demo))
    throw new SetupError(`The demo ${path.relative(root, demo)} is not in this checkout.`);
  const { env } = await setup();
  run(process.execPath, [demo, ...process.argv.slice(2)], {
    env,
    remedy: "The demo's message above says why.",
  });
});

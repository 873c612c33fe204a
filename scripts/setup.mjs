// `npm run setup`: LibTorch, npm packages, the addon and dist/, each only if it is missing.
import { main } from "./lib/run.mjs";
import { setup } from "./lib/setup.mjs";

main(() => setup());

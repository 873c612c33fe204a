// `npm run setup`: LibTorch, npm packages, the addon and dist/, each only if not there yet.
import { main } from "./lib/run.mjs";
import { setup } from "./lib/setup.mjs";

main(() => setup());

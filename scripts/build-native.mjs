// `npm run compile:native`, and the action of binding.gyp: builds the addons with cmake-js.
import path from "node:path";

import { buildNative } from "./lib/native.mjs";
import { main, root } from "./lib/run.mjs";

main(() => buildNative({ output: path.join(root, "build", "Release") }));

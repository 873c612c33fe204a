// `npm run compile:native`, and the action of binding.gyp: builds the addons with cmake-js.
import { buildNative } from "./lib/native.mjs";
import { main } from "./lib/run.mjs";

main(() => buildNative());

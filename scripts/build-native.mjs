// `npm run compile:native` and `torchsearch build`: builds the addons; with --tests the C++ tests too.
import { buildNative } from "./lib/native.mjs";
import { main } from "./lib/run.mjs";

main(() => buildNative({ tests: process.argv.includes("--tests") }));

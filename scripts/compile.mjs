// `npm run compile [-- --tests]`: the addon and dist/, with the packages that are installed; with --tests the C++ tests
// too.
import { buildNative } from "./lib/native.mjs";
import { main, together } from "./lib/run.mjs";
import { buildLib } from "./lib/typescript.mjs";

const tests = process.argv.includes("--tests");

main(() => together(() => buildNative({ tests }), buildLib));

// `npm run compile`: the addon and dist/, with the packages that are installed.
import { buildNative } from "./lib/native.mjs";
import { main } from "./lib/run.mjs";
import { buildLib } from "./lib/typescript.mjs";

main(() => {
  buildNative();
  buildLib();
});

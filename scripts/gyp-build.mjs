// The only action of binding.gyp: the usual cmake-js build. npm and its peers run node-gyp by themselves where they find a
// binding.gyp, and not all of them heed `"gypfile": false`; for them nothing is compiled. The npm package has no
// binding.gyp.
import { buildNative } from "./lib/native.mjs";
import { main, say } from "./lib/run.mjs";

main(async () => {
  if (process.env.npm_lifecycle_event === "install")
    say("Nothing is compiled at install: `npm run compile` does it.");
  else await buildNative();
});

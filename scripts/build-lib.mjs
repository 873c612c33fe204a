// `npm run compile:lib`: lib/ to dist/.
import { main } from "./lib/run.mjs";
import { buildLib } from "./lib/typescript.mjs";

main(() => buildLib());

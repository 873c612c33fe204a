// TypeScript of test/, for scripts: bundled into one file of JavaScript.
import path from "node:path";

import { root } from "./run.mjs";

/** Bundles `source`, a path below test/, into `outfile`. Gives `outfile`. */
export async function bundleTests(source, outfile) {
  // Not at the top: scripts that import this file run before `npm ci`.
  const { build } = await import("esbuild");
  await build({
    entryPoints: [path.join(root, "test", source)],
    bundle: true,
    platform: "node",
    format: "cjs",
    outfile,
    external: ["bindings", "esbuild", "highs", "sharp"],
    // Where lib/native/paths.ts is, so that the bundle finds the addon and the fixtures.
    define: { __dirname: JSON.stringify(path.join(root, "lib", "native")) },
    logLevel: "error",
  });
  return outfile;
}

// `npm run prebuild`: packs the addon for this platform and the LibTorch at hand into
// prebuilds/<platform>-<arch>/torchsearch-torch<minor>.node, with the loader beside it. prebuildify drives node-gyp,
// binding.gyp's only action is the same cmake-js build as everywhere.
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";

import { buildNative, libTorchForBuild, libTorchMinor } from "./lib/native.mjs";
import { ensureNodeModules } from "./lib/npm.mjs";
import { main, root, say } from "./lib/run.mjs";

main(async () => {
  ensureNodeModules();
  const libTorch = libTorchForBuild();
  const name = `torchsearch-torch${libTorchMinor(libTorch)}`;
  const prebuildify = promisify(createRequire(import.meta.url)("prebuildify"));
  // node-gyp wants Node's headers, though nothing here is compiled with them: those of this installation, when it has
  // them, rather than a download.
  const prefix = path.resolve(path.dirname(process.execPath), "..");
  if (existsSync(path.join(prefix, "include", "node", "common.gypi")))
    process.env.npm_config_nodedir ??= prefix;
  process.env.TORCHSEARCH_LIBTORCH = libTorch;
  await prebuildify({ cwd: root, napi: true, name, strip: true, targets: [process.versions.node] });
  const folder = path.join(root, "prebuilds", `${process.platform}-${process.arch}`);
  mkdirSync(folder, { recursive: true });
  // prebuildify took the addon away from build/Release; building again puts it back there without compiling.
  buildNative({ libTorch });
  copyFileSync(
    path.join(root, "build", "Release", "torchsearch_loader.node"),
    path.join(folder, "torchsearch_loader.node"),
  );
  say(`Packed ${path.join(folder, `${name}.node`)}`);
});

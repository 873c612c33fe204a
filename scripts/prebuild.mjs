// `npm run prebuild`: packs the addon, for this platform and the LibTorch found on it, into
// prebuilds/<platform>-<arch>/torchsearch-torch<minor>.node, with the loader beside it. prebuildify drives node-gyp;
// the only action of binding.gyp is the usual cmake-js build.
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";

import { buildNative, libTorchForBuild, libTorchMinor } from "./lib/native.mjs";
import { ensureNodeModules } from "./lib/npm.mjs";
import { main, root, say } from "./lib/run.mjs";

main(async () => {
  await ensureNodeModules();
  const libTorch = await libTorchForBuild();
  const name = `torchsearch-torch${libTorchMinor(libTorch)}`;
  const prebuildify = promisify(createRequire(import.meta.url)("prebuildify"));
  // node-gyp requires Node's headers, though this build doesn't compile with them. Those of this installation spare a
  // download.
  const prefix = path.resolve(path.dirname(process.execPath), "..");
  if (existsSync(path.join(prefix, "include", "node", "common.gypi")))
    process.env.npm_config_nodedir ??= prefix;
  process.env.TORCHSEARCH_LIBTORCH = libTorch;
  await prebuildify({ cwd: root, napi: true, name, strip: true, targets: [process.versions.node] });
  const folder = path.join(root, "prebuilds", `${process.platform}-${process.arch}`);
  mkdirSync(folder, { recursive: true });
  // prebuildify moved the addon out of build/Release; building again puts it back without compiling.
  await buildNative({ libTorch });
  copyFileSync(
    path.join(root, "build", "Release", "torchsearch_loader.node"),
    path.join(folder, "torchsearch_loader.node"),
  );
  say(`Packed ${path.join(folder, `${name}.node`)}`);
});

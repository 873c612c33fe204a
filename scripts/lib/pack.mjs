// Packs the prebuilt addon of this platform, and the package.
import { spawnSync } from "node:child_process";
import path from "node:path";

import { root, run, SetupError } from "./run.mjs";

/** @returns the packed file, and what npm says of it: its files and size */
export function pack(folder, env) {
  run(process.execPath, [path.join(root, "scripts", "prebuild.mjs")], { env });
  const packed = spawnSync("npm", ["pack", "--json", "--pack-destination", folder], {
    cwd: root,
    encoding: "utf8",
  });
  if (packed.status !== 0) throw new SetupError(`npm pack failed: ${packed.stderr}`);
  const [{ filename, files, size }] = JSON.parse(packed.stdout);
  return { tarball: path.join(folder, filename), files, size };
}

import { buildNative } from "./native.mjs";
import { ensureNodeModules } from "./npm.mjs";
import { ensurePython, python } from "./python.mjs";
import { say } from "./run.mjs";
import { buildLib } from "./typescript.mjs";

/**
 * Everything that is needed to run torchsearch from this folder. Gives the environment for child processes: the
 * LibTorch that was built against, whichever Python is active, and the Python that tests compare with.
 */
export function setup(groups = []) {
  const start = performance.now();
  ensureNodeModules();
  ensurePython(["base", ...groups]);
  const { libTorch, out } = buildNative();
  buildLib();
  say(`Ready after ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return { out, env: { TORCHSEARCH_LIBTORCH: libTorch, TORCHSEARCH_PYTHON: python } };
}

import { buildNative } from "./native.mjs";
import { ensureNodeModules } from "./npm.mjs";
import { ensurePython, python } from "./python.mjs";
import { say, together } from "./run.mjs";
import { buildLib } from "./typescript.mjs";

/**
 * Everything that is needed to run torchsearch from this folder: with `groups` of Python packages, and with `tests` the
 * C++ tests too. Gives the environment for child processes: the LibTorch that was built against, whichever Python is
 * active, and the Python that tests compare with.
 */
export async function setup(groups = [], { tests = false } = {}) {
  const start = performance.now();
  // The build needs LibTorch's headers and three npm packages, and nothing of the other groups.
  await together(ensureNodeModules, () => ensurePython(["base"]));
  const [{ libTorch, out }] = await together(
    () => buildNative({ tests }),
    buildLib,
    () => ensurePython(groups),
  );
  say(`Ready after ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return { out, env: { TORCHSEARCH_LIBTORCH: libTorch, TORCHSEARCH_PYTHON: python } };
}

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { packageRoot, sharedLibrary } from "../../lib/native/paths";

let broken: string;

/** A LibTorch of the right version whose libraries are no libraries. */
beforeAll(() => {
  broken = mkdtempSync(path.join(os.tmpdir(), "torchsearch-broken-"));
  mkdirSync(path.join(broken, "lib"));
  for (const name of ["c10", "torch_cpu"])
    writeFileSync(path.join(broken, "lib", sharedLibrary(name)), "no ELF");
});

afterAll(() => {
  rmSync(broken, { recursive: true });
});

/** What a process of its own prints, in which nothing is loaded yet. */
function fresh(source: string, env: NodeJS.ProcessEnv = {}): unknown {
  const program = `const torchsearch = require(${JSON.stringify(packageRoot)}); (async () => { ${source} })();`;
  const run = spawnSync(process.execPath, ["-e", program], {
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  expect(run.stderr).toBe("");
  return JSON.parse(run.stdout);
}

describe("initialize", () => {
  it("loads the addon once, however often and at the same time it is called", () => {
    const shape = fresh(`
      await Promise.all([torchsearch.initialize(), torchsearch.initialize()]);
      await torchsearch.initialize();
      console.log(JSON.stringify(torchsearch.Tensor.from([[1, 2, 3]]).shape));`);
    expect(shape).toEqual([1, 3]);
  });

  it("leaves time for timers while LibTorch is opened by an asynchronous call", () => {
    const ticks = fresh(`
      let ticks = 0;
      const timer = setInterval(() => ticks++, 1);
      await torchsearch.initialize();
      clearInterval(timer);
      console.log(ticks);`);
    // A blocked event loop counts one at most.
    expect(ticks).toBeGreaterThan(3);
  });

  it("says what is wrong with a LibTorch that can't be opened, also in the calls that load by themselves", () => {
    const version = fresh(`
      const { loadNativeDetails } = require(${JSON.stringify(path.join(packageRoot, "dist/native/load.js"))});
      console.log(JSON.stringify(loadNativeDetails().libTorch.version));`);
    writeFileSync(path.join(broken, "version.py"), `__version__ = '${version}'\ncuda = None\n`);
    const codes = fresh(
      `const codes = [];
      for (const call of [() => torchsearch.initialize(), () => torchsearch.Module.load(${JSON.stringify(
        path.join(packageRoot, "test/fixtures/digits_cnn.pt"),
      )})]) await call().catch((error) => codes.push(error.code));
      console.log(JSON.stringify(codes));`,
      { TORCHSEARCH_LIBTORCH: broken },
    );
    expect(codes).toEqual(["ERR_LIBTORCH_LOAD", "ERR_LIBTORCH_LOAD"]);
  });
});

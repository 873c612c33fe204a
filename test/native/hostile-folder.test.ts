/** A working directory from a stranger: looking for LibTorch runs nothing that is in it. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { packageRoot } from "../../lib/native/paths";

const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-folder-"));
const proof = path.join(folder, "it-ran");
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(() => {
  for (const name of ["json", "torch", "os", "site", "sitecustomize", "usercustomize", "importlib"])
    writeFileSync(path.join(folder, `${name}.py`), `open(${JSON.stringify(proof)}, "w").close()\n`);
  const bin = path.join(folder, "env", "bin");
  mkdirSync(bin, { recursive: true });
  for (const name of ["python", "python3"]) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\ntouch ${proof}\n`);
    chmodSync(path.join(bin, name), 0o755);
  }
});

/** `torchsearch doctor` in that folder, with no cached answer and no LibTorch named. */
function doctor(env: Record<string, string>) {
  const { TORCHSEARCH_LIBTORCH: _, LIBTORCH: __, VIRTUAL_ENV: ___, ...others } = process.env;
  const command = path.join(packageRoot, "dist", "cli", "main.js");
  const cache = mkdtempSync(path.join(folder, "cache-"));
  return spawnSync(process.execPath, [command, "doctor", "--json"], {
    cwd: folder,
    env: { ...others, XDG_CACHE_HOME: cache, ...env },
    encoding: "utf8",
  });
}

describe("a hostile working directory", () => {
  it.each([
    ["its Python modules", {}],
    ["its Python modules, named by PYTHONPATH", { PYTHONPATH: "." }],
    ["its Python modules, on an absolute PYTHONPATH", { PYTHONPATH: folder }],
    ["a relative virtual environment", { VIRTUAL_ENV: "env" }],
    ["a relative conda environment", { CONDA_PREFIX: "./env" }],
    ["a relative PATH", { PATH: `env/bin:${process.env.PATH}` }],
  ])("runs nothing: %s", (_, env) => {
    const { stdout, stderr } = doctor(env as Record<string, string>);
    expect(() => JSON.parse(stdout), stderr).not.toThrow();
    expect(existsSync(proof)).toBe(false);
  });
});

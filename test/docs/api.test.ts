/** The API reference can be made of the docstrings, and no link in it is broken. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, it } from "vitest";

import { root } from "../support/zoo";

it("npm run docs makes a page of everything that is exported", { timeout: 120_000 }, () => {
  const out = mkdtempSync(path.join(os.tmpdir(), "torchsearch-api-"));
  try {
    const typedoc = path.join(root, "node_modules", "typedoc", "bin", "typedoc");
    const run = spawnSync(process.execPath, [typedoc, "--out", out], { cwd: root, encoding: "utf8" });
    const said = run.stdout + run.stderr;
    expect(run.status, said).toBe(0);
    expect(said).not.toMatch(/\[(error|warning)\]|Failed to resolve link/);
    const pages = readdirSync(out, { recursive: true, encoding: "utf8" }).map((file) =>
      path.basename(file, ".md"),
    );
    const index = readFileSync(path.join(root, "lib", "index.ts"), "utf8");
    const names = [...index.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = ""]) =>
      list
        .split(",")
        .map((name) => name.replace(/^\s*type /, "").trim())
        .filter((name) => name !== ""),
    );
    for (const name of names)
      expect(
        pages.some((page) => page.split(".").at(-1) === name),
        `${name} has a page`,
      ).toBe(true);
    expect(existsSync(path.join(out, "README.md"))).toBe(true);
  } finally {
    rmSync(out, { recursive: true });
  }
});

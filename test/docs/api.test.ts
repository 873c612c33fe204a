/** The API reference can be made of the docstrings, and no link in it is broken. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, it } from "vitest";

import { ENTRY_POINTS } from "../support/entry-points";
import { root } from "../support/zoo";

/** Runs a program beside the event loop: it takes long enough for the test runner to miss this process. */
function ended(file: string, args: string[], options: object): Promise<{ status: unknown; output: string }> {
  return new Promise((resolve) => {
    execFile(file, args, options, (error, stdout, stderr) =>
      resolve({ status: error?.code ?? 0, output: `${stdout}${stderr}` }),
    );
  });
}

it("npm run docs makes a page of everything that is exported", { timeout: 240_000 }, async () => {
  const out = mkdtempSync(path.join(os.tmpdir(), "torchsearch-api-"));
  try {
    const typedoc = path.join(root, "node_modules", "typedoc", "bin", "typedoc");
    const args = [typedoc, "--out", out, "--validation.notDocumented", "true"];
    const run = await ended(process.execPath, args, {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1" },
    });
    const lines = run.output.split("\n");
    // What has no name of its own is told where it stands; setters and disposers have their getters and `close()`.
    const told = /__type|\[dispose\]|\[OWNED_BATCHES\]|SetSignature/;
    const undocumented = lines.filter((line) => line.includes("does not have any documentation"));
    expect(undocumented.filter((line) => !told.test(line))).toEqual([]);
    const said = lines
      .filter((line) => !undocumented.includes(line) && !/Found \d+ errors and \d+ warnings/.test(line))
      .join("\n");
    expect(run.status, said).toBe(0);
    expect(said).not.toMatch(/\[(error|warning)\]|Failed to resolve link/);
    const pages = readdirSync(out, { recursive: true, encoding: "utf8" }).map((file) =>
      path.basename(file, ".md"),
    );
    for (const [entry, file] of ENTRY_POINTS) {
      const source = readFileSync(file, "utf8");
      const names = [...source.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = ""]) =>
        list
          .split(",")
          .map((name) => name.replace(/^\s*type /, "").trim())
          .filter((name) => name !== ""),
      );
      for (const name of names)
        expect(
          pages.some((page) => page.split(".").at(-1) === name),
          `${name} of ${entry} has a page`,
        ).toBe(true);
      expect(existsSync(path.join(out, entry, "README.md")), `${entry} has an index`).toBe(true);
    }
    expect(existsSync(path.join(out, "README.md"))).toBe(true);
  } finally {
    rmSync(out, { recursive: true });
  }
});

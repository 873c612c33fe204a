import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { packageRoot } from "../../lib/native/paths";

let consumer: string;

/** A project that depends on the built package. */
beforeAll(() => {
  consumer = mkdtempSync(path.join(os.tmpdir(), "torchsearch-consumer-"));
  mkdirSync(path.join(consumer, "node_modules", "@types"), { recursive: true });
  symlinkSync(packageRoot, path.join(consumer, "node_modules", "torchsearch"));
  symlinkSync(
    path.join(packageRoot, "node_modules", "@types", "node"),
    path.join(consumer, "node_modules", "@types", "node"),
  );
});

afterAll(() => {
  rmSync(consumer, { recursive: true });
});

function node(file: string, source: string): string {
  writeFileSync(path.join(consumer, file), source);
  const run = spawnSync(process.execPath, [file], { cwd: consumer, encoding: "utf8" });
  expect(run.stderr).toBe("");
  return run.stdout.trim();
}

describe("the package", () => {
  it("is one and the same by import and by require", () => {
    const source = `
      import * as esm from "torchsearch";
      import { createRequire } from "node:module";
      const cjs = createRequire(import.meta.url)("torchsearch");
      const names = Object.keys(cjs).sort();
      const same = names.length > 0 && names.every((name) => esm[name] === cjs[name]);
      console.log(JSON.stringify({ same, names: JSON.stringify(names) === JSON.stringify(Object.keys(esm).sort()) }));
    `;
    expect(JSON.parse(node("both.mjs", source))).toEqual({ same: true, names: true });
  });

  it("opens no native library on import", () => {
    const source = `
      require("torchsearch");
      console.log(process.report.getReport().sharedObjects.filter((file) => /torch|c10/.test(file)).join());
    `;
    expect(node("lazy.cjs", source)).toBe("");
  });

  it.each([
    ["nodenext", "mts", "--module nodenext"],
    ["nodenext", "cts", "--module nodenext"],
    ["commonjs", "ts", "--module commonjs --moduleResolution node10"],
    ["a bundler", "ts", "--module esnext --moduleResolution bundler"],
  ])("gives all it exports, types too, to a consumer of %s (.%s)", (_, extension, options) => {
    const index = readFileSync(path.join(packageRoot, "dist", "index.d.ts"), "utf8");
    const lists = [...index.matchAll(/export (type )?\{([^}]*)\}/g)];
    const names = lists.flatMap(([, allTypes, list = ""]) =>
      list
        .split(",")
        .map((entry) => entry.trim())
        .filter((entry) => entry !== "")
        .map((entry) => (allTypes && !entry.startsWith("type ") ? `type ${entry}` : entry)),
    );
    expect(names.length).toBeGreaterThan(100);
    const values = names.filter((name) => !name.startsWith("type "));
    const file = path.join(consumer, `all.${extension}`);
    writeFileSync(
      file,
      `import { ${names.join(", ")} } from "torchsearch";\nexport { ${names.join(", ")} };\n` +
        `const values: unknown[] = [${values.join(", ")}];\nexport const count = values.length;\n`,
    );
    const tsc = path.join(packageRoot, "node_modules", "typescript", "bin", "tsc");
    const all = `${options} --noEmit --strict --target es2022 --lib es2023,esnext.disposable --types node`;
    const run = spawnSync(process.execPath, [tsc, ...all.split(" "), file], {
      cwd: consumer,
      encoding: "utf8",
    });
    expect(run.stdout).toBe("");
    expect(run.status).toBe(0);
  });

  it.each(["mts", "cts"])("has types for a .%s consumer under node16 resolution", (extension) => {
    const file = path.join(consumer, `typed.${extension}`);
    writeFileSync(
      file,
      `import { TorchSearchError } from "torchsearch";
       const error: Error = new TorchSearchError("ERR_EXAMPLE", "say what to change");
       export const code: string = (error as TorchSearchError).code;
       // @ts-expect-error a number is no code
       new TorchSearchError(1, "");`,
    );
    const tsc = path.join(packageRoot, "node_modules", "typescript", "bin", "tsc");
    const options =
      "--noEmit --strict --module node16 --target es2022 --lib es2023,esnext.disposable --types node";
    const run = spawnSync(process.execPath, [tsc, ...options.split(" "), file], {
      cwd: consumer,
      encoding: "utf8",
    });
    expect(run.stdout).toBe("");
    expect(run.status).toBe(0);
  });
});

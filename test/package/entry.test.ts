import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { packageRoot } from "../../lib/native/paths";
import { ENTRY_POINTS } from "../support/entry-points";

const ENTRIES = [...ENTRY_POINTS.keys()];

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

/** The names of an entry point's declarations: `name`, or `type name`. */
function exportsOf(entry: string): string[] {
  const file = entry === "torchsearch" ? "index" : path.join("entries", path.basename(entry));
  const declarations = readFileSync(path.join(packageRoot, "dist", `${file}.d.ts`), "utf8");
  return [...declarations.matchAll(/export (type )?\{([^}]*)\}/g)].flatMap(([, allTypes, list = ""]) =>
    list
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "")
      .map((name) => (allTypes && !name.startsWith("type ") ? `type ${name}` : name)),
  );
}

/** What the compiler says of a consumer's files. */
async function compile(options: string, ...files: string[]): Promise<string> {
  const tsc = path.join(packageRoot, "node_modules", "typescript", "bin", "tsc");
  const all = `${options} --noEmit --strict --target es2022 --lib es2023,esnext.disposable --types node`;
  return new Promise((resolve) => {
    execFile(process.execPath, [tsc, ...all.split(" "), ...files], { cwd: consumer }, (error, stdout) =>
      resolve(stdout || (error?.message ?? "")),
    );
  });
}

describe("the package", () => {
  it.each(ENTRIES)("%s is one and the same by import and by require", (entry) => {
    const source = `
      import * as esm from "${entry}";
      import { createRequire } from "node:module";
      const cjs = createRequire(import.meta.url)("${entry}");
      const names = Object.keys(cjs).sort();
      const same = names.length > 0 && names.every((name) => esm[name] === cjs[name]);
      console.log(JSON.stringify({ same, names: JSON.stringify(names) === JSON.stringify(Object.keys(esm).sort()) }));
    `;
    expect(JSON.parse(node("both.mjs", source))).toEqual({ same: true, names: true });
  });

  it("has one copy of everything, whichever entry point it is taken from", () => {
    const source = `
      const seen = new Map();
      const differ = [];
      for (const entry of ${JSON.stringify(ENTRIES)})
        for (const [name, value] of Object.entries(require(entry))) {
          if (!seen.has(name)) seen.set(name, value);
          else if (seen.get(name) !== value) differ.push(entry + ": " + name);
        }
      const elsewhere = ${JSON.stringify(ENTRIES.slice(1))}.flatMap((entry) => Object.keys(require(entry)));
      console.log(JSON.stringify({ differ, alone: Object.keys(require("torchsearch")).filter((name) => !elsewhere.includes(name)) }));
    `;
    // The error class belongs to all of them.
    expect(JSON.parse(node("copies.cjs", source))).toEqual({ differ: [], alone: ["TorchSearchError"] });
  });

  it("keeps its root small", () => {
    const names = JSON.parse(
      node("root.cjs", `console.log(JSON.stringify(Object.keys(require("torchsearch"))))`),
    );
    expect(names.length).toBeLessThanOrEqual(45);
  });

  it("has no other entry point than these", () => {
    const source = `
      for (const name of ["torchsearch/contract.js", "torchsearch/native", "torchsearch/dist/index.js", "torchsearch/nothing"])
        try { require(name); console.log(name); } catch (error) { console.log(error.code); }
    `;
    expect(new Set(node("others.cjs", source).split("\n"))).toEqual(new Set(["MODULE_NOT_FOUND"]));
  });

  it("opens no native library on import", () => {
    const source = `
      for (const entry of ${JSON.stringify(ENTRIES)}) require(entry);
      console.log(process.report.getReport().sharedObjects.filter((file) => /torch|c10/.test(file)).join());
    `;
    expect(node("lazy.cjs", source)).toBe("");
  });

  it.each([
    ["node16", "mts", "--module node16"],
    ["node16", "cts", "--module node16"],
    ["nodenext", "mts", "--module nodenext"],
    ["nodenext", "cts", "--module nodenext"],
    ["commonjs", "ts", "--module commonjs --moduleResolution node10"],
    ["a bundler", "ts", "--module esnext --moduleResolution bundler"],
  ])("gives all it exports, types too, to a consumer of %s (.%s)", async (_, extension, options) => {
    const files = ENTRIES.map((entry) => {
      const names = exportsOf(entry);
      expect(names.length).toBeGreaterThan(0);
      const values = names.filter((name) => !name.startsWith("type "));
      const file = path.join(consumer, `${entry.replace("/", "-")}.${extension}`);
      writeFileSync(
        file,
        `import { ${names.join(", ")} } from "${entry}";\nexport { ${names.join(", ")} };\n` +
          `const values: unknown[] = [${values.join(", ")}];\nexport const count = values.length;\n`,
      );
      return file;
    });
    expect(await compile(options, ...files)).toBe("");
  });

  it.each([
    ["node16", "mts", "--module node16"],
    ["node16", "cts", "--module node16"],
    ["a bundler", "ts", "--module esnext --moduleResolution bundler"],
  ])("refuses typos of a consumer of %s (.%s), and nothing else", async (_, extension, options) => {
    const source = readFileSync(path.join(__dirname, "types.ts"), "utf8")
      .replace('"../../lib"', '"torchsearch"')
      .replaceAll(/"\.\.\/\.\.\/lib\/entries\/(\w+)"/g, '"torchsearch/$1"');
    expect(source).not.toContain("../");
    expect(source.match(/@ts-expect-error/g)?.length).toBeGreaterThan(25);
    const file = path.join(consumer, `types.${extension}`);
    writeFileSync(file, source);
    expect(await compile(options, file)).toBe("");
  });
});

/**
 * Every code block of the documentation runs: TypeScript is type-checked and run, commands of ours and Python are run, in
 * the order of the page, in a folder that has the files which the pages speak of. A block that is not run says why in a
 * comment above it: `<!-- not run: … -->`.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { command, fixture, torchsearch } from "../cli/command";
import { python, runPython } from "../data/python";
import { fromCheckout } from "../support/entry-points";
import { root } from "../support/zoo";

interface Block {
  language: string;
  code: string;
  line: number;
  /** Why it is not run; null where it is. */
  excuse: string | null;
}

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md") && !file.startsWith("api"))
    .map((file) => path.join("docs", file)),
];

/** Pages whose TypeScript other tests run, with more patience or more care. */
const RUN_ELSEWHERE: Readonly<Record<string, string>> = {
  "docs/guides/custom-searcher.md": "test/search/guide.test.ts",
};
/** Pages whose text blocks other tests compare with what they quote. */
const COMPARED_ELSEWHERE: Readonly<Record<string, string>> = { "docs/cli.md": "test/cli/search.test.ts" };

/** What pages take for granted. */
const GIVEN: Readonly<Record<string, string>> = {
  "docs/modes.md": `
    import { convert, crossEntropy, type ExportOptions, type Input, Module, type ModeSpace, RandomSearcher } from "torchsearch";
    import { recordExport } from "torchsearch/mode";
    import { registerMode, search, Tensor, TensorDataLoader } from "torchsearch";
    import { rules } from "torchsearch/contract";
    const module = await Module.load("classifier.pt");
    const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const train = await TensorDataLoader.fromNpz("train.npz", { keys: ["images", "labels"], batchSize: 32 });
    const scoreFunc = crossEntropy(train, { maxBatches: 1 });`,
  "docs/importance.md": `
    import { convert, Module, Tensor, TensorDataLoader } from "torchsearch";
    const module = await Module.load("classifier.pt");
    const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);`,
  "docs/finetune.md": `
    import { copyFileSync } from "node:fs";
    import { finetune, Module, TensorDataLoader, topKAccuracy } from "torchsearch";
    copyFileSync("classifier.pt", "model.pt");
    copyFileSync("classifier.pt", "model.subnet.pt");
    const train = await TensorDataLoader.fromNpz("train.npz", { keys: ["images", "labels"], batchSize: 32 });
    const validation = await TensorDataLoader.fromNpz("calibration.npz", { keys: ["images", "labels"], batchSize: 128 });`,
  "docs/supernet.md": `
    import { convert, EvolveSearcher, Module, Tensor, TensorDataLoader, topKAccuracy, trainSupernet } from "torchsearch";
    const module = await Module.load("classifier.pt");
    const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const train = await TensorDataLoader.fromNpz("train.npz", { keys: ["images", "labels"], batchSize: 32 });
    const validation = await TensorDataLoader.fromNpz("calibration.npz", { keys: ["images", "labels"], batchSize: 128 });`,
  "docs/quantization.md": `
    import { convert, Module, search, Tensor, TensorDataLoader } from "torchsearch";
    const module = await Module.load("classifier.pt");
    const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const train = await TensorDataLoader.fromNpz("train.npz", { keys: ["images", "labels"], batchSize: 32 });`,
  "docs/sparsity.md": `
    import { convert, Module, search, Tensor, TensorDataLoader } from "torchsearch";
    const module = await Module.load("classifier.pt");
    const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const train = await TensorDataLoader.fromNpz("train.npz", { keys: ["images", "labels"], batchSize: 32 });`,
  "docs/latency.md": `
    import { BinarySearcher, convert, crossEntropy, Module, Tensor, TensorDataLoader } from "torchsearch";
    const module = await Module.load("classifier.pt");
    const dummyInput = Tensor.from(new Float32Array(64), [1, 1, 8, 8]);
    const train = await TensorDataLoader.fromNpz("train.npz", { keys: ["images", "labels"], batchSize: 32 });
    const scoreFunc = crossEntropy(train, { maxBatches: 1 });`,
};

function blocksOf(page: string): Block[] {
  const text = readFileSync(path.join(root, page), "utf8");
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => {
    const before = text.slice(0, match.index);
    return {
      language: match[1] as string,
      code: match[2] as string,
      line: before.split("\n").length,
      excuse: /<!-- not run: (.+?) -->\s*$/.exec(before)?.[1] ?? null,
    };
  });
}

let folder: string;
/** What each page's folder is made of. */
let stock: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-docs-"));
  const copies = {
    "classifier.pt": "digits_resnet.pt",
    "resnet50.pt": "digits_resnet.pt",
    "resnet18.pt": "hard/simple_cnn.scripted.pt",
    "digits.npz": "digits.npz",
  };
  for (const [name, source] of Object.entries(copies)) cpSync(fixture(source), path.join(folder, name));
  mkdirSync(path.join(folder, "test"));
  symlinkSync(fixture(""), path.join(folder, "test", "fixtures"));
  mkdirSync(path.join(folder, "imagenet"));
  for (const part of ["train", "val"])
    symlinkSync(fixture("images/classes"), path.join(folder, "imagenet", part));
  runPython(
    `
import sys, numpy as np
digits = np.load(sys.argv[1] + "/digits.npz")
for name in ("train", "calibration"):
    np.savez(sys.argv[1] + f"/{name}.npz", images=digits["train_images"][:256], labels=digits["train_labels"][:256])
`,
    folder,
  );
  // As they are found once installed.
  mkdirSync(path.join(folder, "node_modules", "torchsearch"), { recursive: true });
  symlinkSync(path.join(root, "python"), path.join(folder, "node_modules", "torchsearch", "python"));
  mkdirSync(path.join(folder, "bin"));
  writeFileSync(
    path.join(folder, "bin", "torchsearch"),
    `#!/bin/sh\nexec "${process.execPath}" "${command}" "$@"\n`,
  );
  chmodSync(path.join(folder, "bin", "torchsearch"), 0o755);
  stock = folder;
});

/** Pages begin in a folder that has nothing of other pages. */
function freshFolder(): void {
  folder = mkdtempSync(path.join(stock, "page-"));
  for (const name of readdirSync(stock))
    if (!name.startsWith("page-")) symlinkSync(path.join(stock, name), path.join(folder, name));
}
afterAll(() => rmSync(stock, { recursive: true, force: true }));

const env = () => ({
  ...process.env,
  OMP_NUM_THREADS: "1",
  PATH: `${path.join(folder, "bin")}${path.delimiter}${process.env.PATH}`,
});

/** Runs the lines that are commands of ours; of others, checks that what they call is there. */
async function runShell(code: string): Promise<void> {
  const scripts = Object.keys(
    (JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { scripts: object }).scripts,
  );
  for (const written of code.split("\n")) {
    const line = written.replace(/\s+#.*$/, "").trim();
    if (line === "" || /^npm (test|install torchsearch)$/.test(line)) continue;
    const script = /^npm run (\S+)$/.exec(line)?.[1];
    if (script !== undefined) {
      expect(scripts).toContain(script);
      continue;
    }
    const ours = /^npx torchsearch (\w+)$/.exec(line)?.[1];
    if (ours !== undefined) {
      expect((await torchsearch(folder, ours, "--help")).status, line).toBe(0);
      continue;
    }
    expect(line).toMatch(/^(\w+=\S+ )?torchsearch /);
    const run = spawnSync("sh", ["-c", line], { cwd: folder, env: env(), encoding: "utf8" });
    expect(`${line}: ${run.status} ${run.status === 0 ? "" : run.stderr}`.trim()).toBe(`${line}: 0`);
  }
}

function typescriptOf(page: string, blocks: readonly Block[]): string {
  const code = blocks.filter(({ language }) => language === "ts").map((block) => block.code);
  const file = path.join(folder, `${page.replaceAll(/\W/g, "_")}.ts`);
  const whole = [GIVEN[page] ?? "", ...code, "export {};"].join("\n");
  writeFileSync(file, fromCheckout(whole));
  return file;
}

describe("code blocks of the documentation", () => {
  const written = pages
    .map((page) => [page, blocksOf(page)] as const)
    .filter(([, blocks]) => blocks.length > 0);

  it("are of known languages, or say why they are not run", () => {
    expect(written.length).toBeGreaterThan(8);
    for (const [page, blocks] of written)
      for (const { language, excuse, line } of blocks) {
        if (excuse !== null) continue;
        const known = ["ts", "sh", "json", "python", ...(page in COMPARED_ELSEWHERE ? ["text"] : [])];
        expect(known, `${page}:${line}`).toContain(language);
      }
    for (const test of [...Object.values(RUN_ELSEWHERE), ...Object.values(COMPARED_ELSEWHERE)])
      expect(existsSync(path.join(root, test))).toBe(true);
  });

  it("in TypeScript have sound types under strict settings", { timeout: 180_000 }, () => {
    freshFolder();
    const files = written
      .filter(([, blocks]) => blocks.some(({ language }) => language === "ts"))
      .map(([page, blocks]) => typescriptOf(page, blocks));
    const { options } = ts.parseJsonConfigFileContent(
      ts.readConfigFile(path.join(root, "tsconfig.test.json"), ts.sys.readFile).config,
      ts.sys,
      root,
    );
    const program = ts.createProgram(files, {
      ...options,
      rootDir: undefined,
      noEmit: true,
      allowImportingTsExtensions: true,
      noUnusedLocals: false,
      noUnusedParameters: false,
      typeRoots: [path.join(root, "node_modules", "@types")],
    });
    const problems = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
      const text = ts.flattenDiagnosticMessageText(messageText, "\n");
      const at = file?.getLineAndCharacterOfPosition(start ?? 0).line;
      return `${path.basename(file?.fileName ?? "")}:${at}: ${text}`;
    });
    expect(problems).toEqual([]);
  });

  it.each(written.map(([page]) => page))("of %s run", { timeout: 300_000 }, async (page) => {
    freshFolder();
    const blocks = blocksOf(page);
    const session: string[] = [];
    for (const [at, { language, code, excuse }] of blocks.entries()) {
      if (excuse !== null) continue;
      if (language === "sh") await runShell(code);
      if (language === "json")
        writeFileSync(path.join(folder, "search.json"), JSON.stringify(JSON.parse(code)));
      if (language === "json" && page === "docs/cli.md") {
        // The settings of a search: the command knows all of them, and stops at the device.
        const settings = ["--settings", "search.json", "--output", "settings.pt", "--device", "nowhere"];
        const run = await torchsearch(folder, "search", "resnet50.pt", ...settings);
        expect(run.stderr).toContain("ERR_DEVICE");
      }
      if (language === "python") {
        // Blocks go on from each other.
        session.push(code);
        const last = !blocks
          .slice(at + 1)
          .some((later) => later.language === "python" || later.language === "sh");
        if (last || blocks[at + 1]?.language !== "python") {
          // A file, because scripting reads the sources of classes.
          writeFileSync(path.join(folder, "session.py"), session.join("\n"));
          const run = spawnSync(python, ["-W", "ignore", "session.py"], { cwd: folder, encoding: "utf8" });
          expect(run.stderr).toBe("");
          expect(run.status).toBe(0);
        }
      }
    }
    if (page in RUN_ELSEWHERE || !blocks.some(({ language, excuse }) => language === "ts" && excuse === null))
      return;
    const cwd = process.cwd();
    process.chdir(folder);
    try {
      await import(typescriptOf(page, blocks));
    } finally {
      process.chdir(cwd);
    }
  });
});

/**
 * Every value that the root exports has an `@example` in its docstring, which compiles under strict settings and runs. An
 * example may use what the root exports without importing it, and the names of {@link GIVEN}.
 */
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import * as library from "../../lib";
import { ENTRY_POINTS } from "../support/entry-points";
import { root } from "../support/zoo";

/** What an example may use without declaring it, by name; later ones may use earlier ones. */
const GIVEN: Readonly<Record<string, string>> = {
  module: 'await Module.load("classifier.pt")',
  dummyInput: "Tensor.from(new Float32Array(64), [1, 1, 8, 8])",
  data: 'await TensorDataLoader.fromNpz("digits.npz", { keys: ["train_images", "train_labels"], batchSize: 64 })',
  scoreFunc: "crossEntropy(data, { maxBatches: 1 })",
  space: 'await convert(module, "fastnas", dummyInput, { channelDivisor: 16 })',
};

const index = ENTRY_POINTS.get("torchsearch") as string;
const options: ts.CompilerOptions = {
  ...ts.parseJsonConfigFileContent(
    ts.readConfigFile(path.join(root, "tsconfig.test.json"), ts.sys.readFile).config,
    ts.sys,
    root,
  ).options,
  rootDir: undefined,
  noEmit: true,
  allowImportingTsExtensions: true,
  noUnusedLocals: false,
  noUnusedParameters: false,
  typeRoots: [path.join(root, "node_modules", "@types")],
};

/** The examples of the root's values, by name. */
function examplesOf(names: readonly string[]): Map<string, string[]> {
  const program = ts.createProgram([index], options);
  const checker = program.getTypeChecker();
  const file = checker.getSymbolAtLocation(program.getSourceFile(index) as ts.SourceFile) as ts.Symbol;
  const symbols = new Map(checker.getExportsOfModule(file).map((symbol) => [symbol.name, symbol]));
  return new Map(
    names.map((name) => {
      const symbol = checker.getAliasedSymbol(symbols.get(name) as ts.Symbol);
      const tags = symbol.getJsDocTags(checker).filter((tag) => tag.name === "example");
      const texts = tags.map(({ text }) => ts.displayPartsToString(text));
      return [
        name,
        texts.flatMap((text) => [...text.matchAll(/```ts\n(.*?)\n```/gs)].map(([, code]) => code as string)),
      ];
    }),
  );
}

const names = Object.keys(library).sort();
const examples = examplesOf(names);

/** An example as a function, with what it uses declared before it. */
function asFunction(name: string, code: string, at: number): string {
  const uses = (text: string, word: string) => new RegExp(`\\b${word}\\b`).test(text);
  let body = code;
  for (const [given, value] of Object.entries(GIVEN).reverse())
    if (
      uses(body.replaceAll(/\.\w+|\w+:/g, ""), given) &&
      !new RegExp(`const (\\{[^}]*)?\\b${given}\\b`).test(code)
    )
      body = `const ${given} = ${value};\n${body}`;
  return `export async function ${name}_${at}(): Promise<void> {\n${body}\n}\n`;
}

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-docstrings-"));
  const fixture = (...parts: string[]) => path.join(root, "test", "fixtures", ...parts);
  cpSync(fixture("digits_cnn.pt"), path.join(folder, "classifier.pt"));
  symlinkSync(fixture("digits.npz"), path.join(folder, "digits.npz"));
  symlinkSync(fixture("images", "classes"), path.join(folder, "images"));
  file = path.join(folder, "examples.ts");
  const functions = [...examples].flatMap(([name, codes]) =>
    codes.map((code, at) => asFunction(name, code, at)),
  );
  writeFileSync(
    file,
    `import { ${names.join(", ")} } from ${JSON.stringify(index)};\n${functions.join("\n")}`,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("examples in docstrings", () => {
  it("exist for every value that the root exports", () => {
    expect(names.filter((name) => examples.get(name)?.length === 0)).toEqual([]);
  });

  it("have sound types under strict settings", { timeout: 180_000 }, () => {
    const problems = ts.getPreEmitDiagnostics(ts.createProgram([file], options)).map((problem) => {
      const text = ts.flattenDiagnosticMessageText(problem.messageText, "\n");
      const before = problem.file?.text.slice(0, problem.start).split("\n") ?? [];
      const name = before.findLast((line) => line.startsWith("export async function"));
      return `${name}: ${before.at(-1)}: ${text}`;
    });
    expect(problems).toEqual([]);
  });

  it.each(names)("of %s run", { timeout: 60_000 }, async (name) => {
    const functions = (await import(file)) as Record<string, () => Promise<void>>;
    const own = Object.keys(functions).filter((key) => key.replace(/_\d+$/, "") === name);
    expect(own.length).toBe(examples.get(name)?.length);
    const cwd = process.cwd();
    process.chdir(folder);
    const silent = [
      vi.spyOn(console, "log").mockImplementation(() => {}),
      vi.spyOn(process.stdout, "write").mockImplementation(() => true),
      vi.spyOn(process.stderr, "write").mockImplementation(() => true),
    ];
    try {
      for (const key of own) await functions[key]?.();
    } finally {
      for (const spy of silent) spy.mockRestore();
      process.chdir(cwd);
      rmSync(path.join(folder, "search.safetensors"), { force: true });
    }
  });
});

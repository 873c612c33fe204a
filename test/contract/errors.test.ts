import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

const root = path.join(__dirname, "../..");

/** Codes in quotation marks, which are those that are thrown (comments leave them out). */
function thrownIn(folder: string): Set<string> {
  const codes = new Set<string>();
  for (const entry of readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })) {
    if (entry.parentPath.includes(path.join("native", "tests"))) continue; // errors of the tests' own
    if (!entry.isFile() || !/\.(ts|cpp|h)$/.test(entry.name)) continue;
    const text = readFileSync(path.join(entry.parentPath, entry.name), "utf8");
    for (const [, code] of text.matchAll(/"(ERR_[A-Z_]+)"/g)) codes.add(code!);
  }
  return codes;
}

describe("docs/errors.md", () => {
  it("lists every code that is thrown", () => {
    const listed = new Set(readFileSync(path.join(root, "docs/errors.md"), "utf8").match(/ERR_[A-Z_]+/g));
    const thrown = ["lib", "native"].flatMap((folder) => [...thrownIn(folder)]);
    expect(thrown.filter((code) => !listed.has(code))).toEqual([]);
  });
});

/**
 * Every file and folder of this repository that the documentation, a comment or a string names exists; every link from
 * a page leads to a file, and to a heading of it; docs/README.md links to every page.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

import { root } from "../support/zoo";

const FOLDERS = ["bench", "docs", "examples", "lib", "native", "scripts", "test"];
/** Made by a command, or another project's. */
const LEFT_OUT = /^(docs\/api|test\/fixtures\/|native\/(tests\/)?third_party|.*__pycache__)/;

const tree = FOLDERS.flatMap((folder) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .map((entry) => path.posix.join(folder, entry.split(path.sep).join("/")))
    .concat(folder),
);
/** Not of this repository's tree: written by a command, or LibTorch's. */
const ELSEWHERE = ["docs/api", "lib/libtorch_cpu"];
/** Files, folders, and files without their extension, as texts may name them. */
const known = new Set(tree.flatMap((entry) => [entry, entry.replace(/\.(ts|mjs|h|cpp|py)$/, "")]));

/**
 * A path from the root, also with `*` and `{a,b}`; not the end of a longer path, nor a part of an address. One that
 * begins with `./` may be relative to its file.
 */
const NAMED = /(?<![\w./<>@-])(?:\.\/)?(?:bench|docs|examples|lib|native|scripts|test)\/[\w.*{},/-]*[\w*}/]/g;

/** In prose, a file or folder of native/core by its room: `graph/interpreter`. */
const ROOMS = readdirSync(path.join(root, "native", "core")).filter((entry) => !entry.includes("."));
const IN_CORE = new RegExp(`\`((?:${ROOMS.join("|")})/[\\w/.]*)\``, "g");

/** `a/{b,c}.ts` as `a/b.ts`, `a/c.ts`. */
function expanded(name: string): string[] {
  const braces = /^(.*?)\{([^{}]*)\}(.*)$/.exec(name);
  if (braces === null) return [name];
  const [, before = "", choices = "", after = ""] = braces;
  return choices.split(",").flatMap((choice) => expanded(before + choice + after));
}

function exists(name: string): boolean {
  // With a placeholder, as in `test/fixtures/NAME.pt`.
  if (ELSEWHERE.includes(name) || /NAME|\{\w+\}/.test(name)) return true;
  return expanded(name.replace(/\/$/, "")).every((each) => {
    if (!each.includes("*")) return known.has(each);
    const pattern = new RegExp(`^${each.replaceAll(".", "\\.").replaceAll(/\*+/g, "[^/]*")}$`);
    return tree.some((entry) => pattern.test(entry));
  });
}

const read = (file: string) => readFileSync(path.join(root, file), "utf8");
const pages = [
  ...readdirSync(root).filter((file) => file.endsWith(".md")),
  ...tree.filter((file) => file.startsWith("docs/") && file.endsWith(".md") && !LEFT_OUT.test(file)),
];
const sources = tree.filter((file) => /\.(ts|mjs|h|cpp|py)$/.test(file) && !LEFT_OUT.test(file));

describe("paths", () => {
  it("that pages and sources name exist", () => {
    const missing = [...pages, ...sources].flatMap((file) =>
      [...read(file).matchAll(NAMED)]
        .map(([name]) => name)
        .filter(
          (name) => !exists(name.replace("./", "")) && !exists(path.posix.join(path.dirname(file), name)),
        )
        .map((name) => `${file}: ${name}`),
    );
    expect(missing).toEqual([]);
  });

  it("that docs/architecture.md names by their room of native/core exist", () => {
    const named = [...read("docs/architecture.md").matchAll(IN_CORE)].map(
      ([, name]) => `native/core/${name}`,
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((name) => !exists(name))).toEqual([]);
  });
});

/** The name that a heading can be linked to by, as GitHub makes it. */
function anchor(heading: string): string {
  const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
    .replaceAll(" ", "-");
}

const prose = (page: string) => read(page).replaceAll(/^```.*?^```$/gms, "");
const linksOf = (page: string) =>
  [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/.test(target));

describe("links", () => {
  it.each(pages)("of %s lead somewhere", (page) => {
    const broken = linksOf(page).filter((target) => {
      const [file = "", heading] = target.split("#");
      const full = path.join(root, file === "" ? page : path.join(path.dirname(page), file));
      if (!existsSync(full)) return true;
      if (heading === undefined || statSync(full).isDirectory()) return false;
      const headings = prose(path.relative(root, full)).matchAll(/^#+ (.*)$/gm);
      return ![...headings].some(([, text = ""]) => anchor(text) === heading);
    });
    expect(broken).toEqual([]);
  });

  it("of docs/README.md lead to every page", () => {
    const listed = linksOf("docs/README.md").map((target) => path.posix.join("docs", target));
    const own = pages.filter((page) => page.startsWith("docs/") && page !== "docs/README.md");
    expect(own.filter((page) => !listed.includes(page))).toEqual([]);
  });
});

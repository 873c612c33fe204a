// Writes the reference in docs/cli.md: everything from the heading "## Reference" on. It comes from the command's own
// option table, modes, searchers and `--help`: `node scripts/cli-reference.mjs`. With --check, which a test uses, it
// writes nothing and fails where the page differs.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { main, root, SetupError } from "./lib/run.mjs";

const HEADING = "## Reference\n";
const require = createRequire(import.meta.url);
const built = (...names) => require(path.join(root, "dist", ...names));

const code = (text) => `\`${text}\``;
const table = (head, rows) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("");

/** `key` (default) */
const withDefault = ([key, value]) =>
  value === null ? code(key) : `${code(key)} (${JSON.stringify(value)})`;

function modes() {
  const { MODES, modeNamed } = built("cli", "modes.js");
  const { adapterOf, modeKeys } = built("cli", "search-modes.js");
  const rows = MODES.map((name) => {
    const { description, defaultSearcher, searchers, defaults } = modeNamed(name);
    const others = Object.keys(searchers).filter((each) => each !== defaultSearcher);
    const keys = modeKeys(name).map((key) => withDefault([key, defaults[key]]));
    const constraints = adapterOf({ mode: name }).constraints ?? "none: the pattern decides";
    return [
      code(name),
      description,
      constraints,
      [defaultSearcher, ...others].map(code).join(", "),
      keys.join(", "),
    ];
  });
  return table(
    ["mode", "choice", "constraints", "searchers, the default first", "keys of `modeOptions`"],
    rows,
  );
}

function searchers() {
  const { MODES, modeNamed } = built("cli", "modes.js");
  const { baseConfigDefaults } = built("contract", "config.js");
  const common = Object.keys(baseConfigDefaults());
  const rows = new Map();
  for (const mode of MODES) {
    for (const [name, Searcher] of Object.entries(modeNamed(mode).searchers)) {
      const keys = Object.entries(new Searcher().defaultSearchConfig)
        .filter(([key]) => !common.includes(key) && !/Func$/.test(key))
        .map(withDefault)
        .join(", ");
      const id = `${name} ${keys}`;
      rows.set(id, [code(name), [...(rows.get(id)?.[1] ?? []), code(mode)], keys]);
    }
  }
  return table(
    ["searcher", "modes", "keys of `searcherOptions`"],
    [...rows.values()].map(([name, of, keys]) => [name, of.join(", "), keys]),
  );
}

function settings(command) {
  const { fileRows, ruleOf } = built("cli", "options", "settings.js");
  const { defaultText } = built("cli", "options", "declare.js");
  const rows = fileRows(command).map((row) => {
    const { key, kind, flag, default: value } = row;
    const accepted = (key.includes(".") ? kind.rule : ruleOf(row)).expected;
    const shown = row.defaultText ?? defaultText(value) ?? (typeof value === "boolean" ? String(value) : "");
    return [code(key), code(flag.split(" ")[0]), accepted, shown];
  });
  return table(["key", "option", "accepts", "default"], rows);
}

function options() {
  const { COMMANDS } = built("cli", "options", "commands.js");
  const command = path.join(root, "dist", "cli", "main.js");
  const help = (name) =>
    spawnSync(process.execPath, [command, name, "--help"], { encoding: "utf8" }).stdout.trim();
  return Object.keys(COMMANDS)
    .map((name) => `### torchsearch ${name}\n\n\`\`\`text\n${help(name)}\n\`\`\`\n`)
    .join("\n");
}

function reference() {
  return [
    HEADING,
    "`node scripts/cli-reference.mjs` writes this part.\n",
    "### Modes and their options\n",
    modes(),
    "### Searchers and their options\n",
    searchers(),
    "### Settings of a search\n",
    settings("search"),
    "### Settings of finetune\n",
    settings("finetune"),
    options(),
  ].join("\n");
}

main(() => {
  const file = path.join(root, "docs", "cli.md");
  const page = readFileSync(file, "utf8");
  const [before] = page.split(HEADING);
  const present = `${before}${reference()}`;
  if (!process.argv.includes("--check")) writeFileSync(file, present);
  else if (page !== present)
    throw new SetupError("docs/cli.md is out of date: run `node scripts/cli-reference.mjs`.");
});

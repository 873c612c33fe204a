// `npm run lint` checks: format and lint of TypeScript, JavaScript and JSON (biome); which room of lib/ imports which
// (dependency-cruiser); types of lib/ and test/ (tsc); the documentation (markdownlint); format of C++ (clang-format);
// and, where the addon is built, its exports against their declarations (`npm test` always checks these). With --fix
// (`npm run format`), rewrites what can be rewritten. Every check runs before the exit code reports a failure.
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

import { ensureNodeModules } from "./lib/npm.mjs";
import { ensurePython, pythonTool } from "./lib/python.mjs";
import { main, root, run, SetupError, say } from "./lib/run.mjs";

const fix = process.argv.includes("--fix");
const bin = (name, ...file) => path.join(root, "node_modules", name, ...file);

function cppFiles() {
  return readdirSync(path.join(root, "native"), { recursive: true })
    .filter((file) => /\.(cpp|h)$/.test(file) && !file.split(path.sep).includes("third_party"))
    .map((file) => path.join("native", file))
    .sort();
}

const CHECKS = {
  biome: () =>
    run(process.execPath, [
      bin("@biomejs", "biome", "bin", "biome"),
      "check",
      ...(fix ? ["--write"] : []),
      ".",
    ]),
  directions: () =>
    run(process.execPath, [
      bin("dependency-cruiser", "bin", "dependency-cruise.mjs"),
      "lib",
      "--config",
      ".dependency-cruiser.cjs",
    ]),
  docs: () =>
    run(process.execPath, [bin("markdownlint-cli2", "markdownlint-cli2-bin.mjs"), ...(fix ? ["--fix"] : [])]),
  types: () => run(process.execPath, [bin("typescript", "bin", "tsc"), "-p", "tsconfig.test.json"]),
  "clang-format": () =>
    run(pythonTool("clang-format"), [
      ...(fix ? ["-i"] : ["--dry-run", "-Werror"]),
      "--style=file",
      ...cppFiles(),
    ]),
};

const built = ["build/Release/torchsearch.node", "dist/native/load.js"].map((file) => path.join(root, file));
if (!fix && built.every(existsSync)) {
  CHECKS.exports = () => run(process.execPath, [path.join(root, "scripts", "check-exports.mjs")]);
}

main(async () => {
  await ensureNodeModules();
  await ensurePython(["lint"]);
  const failed = Object.entries(CHECKS).flatMap(([name, check]) => {
    try {
      say(`Checking: ${name}`);
      check();
      return [];
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      return [name];
    }
  });
  if (failed.length > 0) {
    throw new SetupError(
      `Lint failed: ${failed.join(", ")}. \`npm run format\` fixes what is only formatting.`,
    );
  }
  say("Lint passed");
});

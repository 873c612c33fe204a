// The suite `package`: the packed file in an empty project, with a PATH that has Node and no compiler. Each step is one
// test; steps that depend on a failed one are not run.
import { spawnSync } from "node:child_process";
import {
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

import { pack } from "./pack.mjs";
import { root, say } from "./run.mjs";

/** What `torchsearch build` runs. */
const BUILD_SCRIPTS = [
  "scripts/build-native.mjs",
  "scripts/find-libtorch.mjs",
  "scripts/lib/native.mjs",
  "scripts/lib/python.mjs",
  "scripts/lib/run.mjs",
];

const MODEL = path.join(root, "test", "fixtures", "digits_cnn.pt");
/** The costs of that model by PyTorch (digits_cnn.json). */
const { params: PARAMS } = JSON.parse(
  readFileSync(path.join(root, "test", "fixtures", "digits_cnn.json"), "utf8"),
);

function check(holds, what) {
  if (!holds) throw new Error(what);
}

/** Makes the only folder on PATH: Node, npm, and the shell that npm starts programs with. */
function barePath(folder) {
  const bin = path.join(folder, "bin");
  mkdirSync(bin);
  const node = path.dirname(process.execPath);
  for (const name of ["node", "npm", "npx"]) symlinkSync(path.join(node, name), path.join(bin, name));
  symlinkSync("/bin/sh", path.join(bin, "sh"));
  return bin;
}

export function packageSuite({ env }) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-package-"));
  const project = path.join(folder, "project");
  const bare = {
    ...process.env,
    ...env,
    PATH: barePath(folder),
    NODE_PATH: "",
    CXX: "",
    npm_config_cache: undefined,
  };
  for (const name of Object.keys(bare)) if (/^npm_(?!config_registry)/.test(name)) delete bare[name];
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let tarball;

  const start = (command, args) => {
    const ended = spawnSync(command, args, { cwd: project, env: bare, encoding: "utf8" });
    return { ...ended, said: `${ended.stdout}${ended.stderr}${ended.error ?? ""}` };
  };
  const torchsearch = (...args) => start(path.join(project, "node_modules", ".bin", "torchsearch"), args);
  const installed = path.join(project, "node_modules", "torchsearch");

  const steps = {
    "packs the prebuilt addon, and nothing that only tests need": () => {
      const packed = pack(folder, env);
      const { files, size } = packed;
      tarball = packed.tarball;
      const names = files.map((file) => file.path);
      const platform = `prebuilds/${process.platform}-${process.arch}/`;
      check(
        names.some((name) => name.startsWith(`${platform}torchsearch-torch`)),
        "no prebuilt addon",
      );
      check(names.includes(`${platform}torchsearch_loader.node`), "no loader");
      // What `torchsearch build` runs is all of the scripts that a package needs.
      const extra = names.filter(
        (name) =>
          /^(test|bench|docs|examples|lib|native\/tests)\/|\.gyp$/.test(name) ||
          (name.startsWith("scripts/") && !BUILD_SCRIPTS.includes(name)),
      );
      const missing = BUILD_SCRIPTS.filter((name) => !names.includes(name));
      check(missing.length === 0, `not packed: ${missing.join(", ")}`);
      check(extra.length === 0, `packed too: ${extra.join(", ")}`);
      const { repository, bugs, homepage } = JSON.parse(
        readFileSync(path.join(root, "package.json"), "utf8"),
      );
      // By its repository, the registry's page completes the relative links and pictures of the README.
      check(repository?.url && bugs && homepage, "package.json lacks repository, bugs or homepage");
      say(`${names.length} files, ${(size / 2 ** 20).toFixed(1)} MiB`);
    },
    "installs in an empty project without a compiler": () => {
      mkdirSync(project);
      writeFileSync(path.join(project, "package.json"), '{ "name": "project", "private": true }\n');
      for (const tool of ["cmake", "c++", "g++", "clang++", "python3", "make", "ninja"])
        check(start(tool, ["--version"]).error?.code === "ENOENT", `${tool} is on the PATH of the test`);
      const ended = start("npm", ["install", tarball, "--no-audit", "--no-fund", "--prefer-offline"]);
      check(ended.status === 0, ended.said);
      check(!readdirSync(installed).includes("build"), "something was built");
    },
    "finds the prebuilt addon": () => {
      const ended = torchsearch("doctor", "--json");
      check(ended.status === 0, ended.said);
      const { addons, load } = JSON.parse(ended.stdout);
      const used = addons.find((addon) => addon.used);
      check(used.kind === "prebuilt" && used.file.startsWith(installed), JSON.stringify(addons));
      check(load.ok, JSON.stringify(load));
    },
    "runs from the terminal": () => {
      const ended = torchsearch("profile", MODEL, "--input", "1x1x8x8", "--no-latency", "--json");
      check(ended.status === 0, ended.said);
      check(JSON.parse(ended.stdout).params === PARAMS, ended.stdout);
    },
    "runs by import and by require": () => {
      const use = `
        const model = await Module.load(${JSON.stringify(MODEL)});
        const { params } = await profile(model, Tensor.from(new Float32Array(64), [1, 1, 8, 8]), { metrics: ["params"] });
        console.log(params);`;
      const names = "{ Module, profile, Tensor }";
      writeFileSync(path.join(project, "a.mjs"), `import ${names} from "torchsearch";${use}`);
      writeFileSync(
        path.join(project, "b.cjs"),
        `(async () => { const ${names} = require("torchsearch");${use} })();`,
      );
      for (const file of ["a.mjs", "b.cjs"]) {
        const ended = start("node", [file]);
        check(ended.stdout.trim() === String(PARAMS), ended.said);
      }
    },
    "says in clear words how to build where no prebuilt fits, and what a build lacks": () => {
      rmSync(path.join(installed, "prebuilds"), { recursive: true });
      const lost = torchsearch("profile", MODEL, "--input", "1x1x8x8");
      check(lost.status === 1 && lost.stderr.includes("ERR_ADDON_NOT_FOUND"), lost.said);
      check(lost.stderr.includes("npx torchsearch build"), lost.said);
      const build = torchsearch("build");
      check(build.status === 1 && build.stderr.includes("CMake was not found"), build.said);
      check(build.stderr.includes("ERR_ADDON_BUILD"), build.said);
    },
  };

  try {
    for (const [name, step] of Object.entries(steps)) {
      try {
        step();
        counts.passed += 1;
        say(`package: ${name}: passed`);
      } catch (error) {
        counts.failed += 1;
        say(`package: ${name}: FAILED: ${error.message}`);
        break;
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return counts;
}

// The native build: cmake-js configures and builds CMakeLists.txt in .build/torch<minor>, one folder for each LibTorch
// version, so that going from one to another and back compiles nothing twice. The addons are copied to build/Release,
// where the `bindings` package looks.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

import { ensurePython, torchRoot } from "./python.mjs";
import { capture, root, SetupError, say, start } from "./run.mjs";

/** The LibTorch to build against: TORCHSEARCH_LIBTORCH, LIBTORCH, or else the one in .torch, installed if need be. */
export async function libTorchForBuild() {
  for (const name of ["TORCHSEARCH_LIBTORCH", "LIBTORCH"]) {
    const folder = process.env[name];
    if (!folder) continue;
    if (existsSync(path.join(folder, "include", "torch", "script.h"))) return path.resolve(folder);
    throw new SetupError(
      `${name} is set to ${folder}, which has no include/torch/script.h. Correct it or unset it.`,
    );
  }
  await ensurePython(["base"]);
  return torchRoot();
}

/** `major.minor` of a LibTorch, from its headers. */
export function libTorchMinor(folder) {
  for (const header of ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"]) {
    const file = path.join(folder, "include", ...header.split("/"));
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    const number = (part) => new RegExp(`^#define TORCH_VERSION_${part} (\\d+)`, "m").exec(text)?.[1];
    if (number("MAJOR") && number("MINOR")) return `${number("MAJOR")}.${number("MINOR")}`;
  }
  throw new SetupError(`The version of the LibTorch in ${folder} cannot be told: it has no version.h.`);
}

function checkTools() {
  const cmake = capture("cmake", ["--version"]);
  if (cmake === undefined) {
    throw new SetupError("CMake was not found. Install CMake 3.18 or newer (Debian: apt-get install cmake).");
  }
  const compilers = [process.env.CXX, "c++", "g++", "clang++"].filter(Boolean);
  if (!compilers.some((compiler) => capture(compiler, ["--version"]) !== undefined)) {
    throw new SetupError(
      "No C++ compiler was found. Install one that knows C++20 (Debian: apt-get install g++).",
    );
  }
  const builder = ["ninja", "make"].find((name) => capture(name, ["--version"]) !== undefined);
  if (!builder)
    throw new SetupError(
      "Neither ninja nor make was found. Install one (Debian: apt-get install ninja-build).",
    );
}

/**
 * The npm packages that a build needs: in a checkout they are installed anyway; beside an installed package they are
 * put into .build/tools, at the versions that package.json names.
 */
async function ensureBuildTools() {
  const names = ["cmake-js", "node-addon-api", "node-api-headers"];
  const found = (from) => {
    try {
      return names.map((name) =>
        createRequire(path.join(from, "package.json")).resolve(`${name}/package.json`),
      );
    } catch {
      return undefined;
    }
  };
  const tools = path.join(root, ".build", "tools");
  const here = found(root);
  if (here === undefined && found(tools) === undefined) {
    const { devDependencies } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
    const wanted = names.map((name) => `${name}@${devDependencies[name]}`);
    say(`Installing what the build needs: ${wanted.join(", ")}`);
    mkdirSync(tools, { recursive: true });
    writeFileSync(path.join(tools, "package.json"), '{ "private": true }\n');
    await start("npm", ["install", "--no-audit", "--no-fund", "--no-save", ...wanted], {
      cwd: tools,
      remedy: "Check the network, then run the same command again.",
    });
  }
  const [cmakeJs] = here ?? found(tools);
  return {
    cmakeJs: path.join(path.dirname(cmakeJs), "bin", "cmake-js"),
    // CMakeLists.txt asks Node where the headers are.
    env: here === undefined ? { NODE_PATH: path.join(tools, "node_modules") } : {},
  };
}

/** What links to LibTorch's CUDA library (native/cuda). */
const CUDA_LIBRARY = "torchsearch_cuda.so";

/** Where a LibTorch version is built. */
export const buildFolder = (minor) => path.join(root, ".build", `torch${minor}`);

/**
 * Copies a version's addons to build/Release. They are not linked there directly: back from another LibTorch version, the
 * build would find that one's addon, newer than its own objects, and leave it. Renamed into place, because writing over
 * a file that a running process has loaded ends that process.
 */
function install(addons) {
  const release = path.join(root, "build", "Release");
  mkdirSync(release, { recursive: true });
  const files = ["torchsearch_loader.node", "torchsearch.node", "torchsearch.json"];
  // CUDA graphs are built with some LibTorchs only.
  if (existsSync(path.join(addons, CUDA_LIBRARY))) files.push(CUDA_LIBRARY);
  else rmSync(path.join(release, CUDA_LIBRARY), { force: true });
  for (const name of files) {
    const target = path.join(release, name);
    const content = readFileSync(path.join(addons, name));
    if (existsSync(target) && readFileSync(target).equals(content)) continue;
    writeFileSync(`${target}.new`, content, { mode: 0o755 });
    renameSync(`${target}.new`, target);
  }
}

/**
 * Shows how far a build is. Ninja's lines `[12/40] Building …` become `[12/40]`: on a terminal one line that is
 * rewritten, elsewhere a line each. All else, such as a compiler's error, is shown in full.
 */
function progress(stream = process.stderr) {
  const terminal = stream.isTTY === true;
  let open = false;
  const close = () => {
    if (open) stream.write("\n");
    open = false;
  };
  const onLine = (line) => {
    const [step] = /^\[\s*\d+(?:\/\d+|%)\]/.exec(line) ?? [];
    // The steps before the first are CMake's own: looking for new files.
    if (step === undefined ? /^(ninja: no work to do|ninja: Entering)/.test(line) : step.startsWith("[0/"))
      return;
    if (step === undefined) {
      close();
      stream.write(`${line}\n`);
    } else if (terminal) {
      stream.write(`\r\u001b[K${step}`);
      open = true;
    } else {
      stream.write(`${step}\n`);
    }
  };
  return { onLine, close };
}

/** Configures and builds in the folder `out`, with CMake's variables `options`; `targets` beside the addons. */
export async function compileNative({ out, options, targets = [] }) {
  checkTools();
  const { cmakeJs, env } = await ensureBuildTools();
  const variables = Object.entries(options).map(([name, value]) => `--CD${name}=${value}`);
  await start(process.execPath, [cmakeJs, "configure", "-O", out, ...variables, "--log-level", "warn"], {
    remedy: "CMake's message above says what is missing.",
    env,
    onLine: () => {},
  });
  await buildTargets(out, ["all", ...targets], env);
}

/** Builds targets in a folder that is configured; what is up to date is not built again. */
export async function buildTargets(out, targets, env = {}) {
  // Each compiler process takes about 1.5 GB on LibTorch's headers.
  const jobs = Math.max(1, Math.min(os.availableParallelism(), Math.floor(os.totalmem() / 2 ** 31)));
  const { onLine, close } = progress();
  const wanted = targets.flatMap((target) => ["--target", target]);
  // Not by cmake-js, whose `compile` answers any compile error by building everything a second time.
  await start("cmake", ["--build", out, "--config", "Release", "--parallel", String(jobs), ...wanted], {
    remedy: "The compiler's message above names the reason.",
    env,
    onLine,
  }).finally(close);
}

/** Builds the addons, and with `tests` the C++ tests too; what is up to date is not built again. */
export async function buildNative({ libTorch, tests = false } = {}) {
  const folder = libTorch ?? (await libTorchForBuild());
  const minor = libTorchMinor(folder);
  const out = buildFolder(minor);
  const addons = path.join(out, "addons");
  const what = tests ? "the C++ addon and its tests" : "the C++ addon";
  const minutes = tests ? "about 4 minutes" : "about 2 minutes";
  say(`Building ${what} for LibTorch ${minor} (${folder}): ${minutes} on two cores the first time`);
  await compileNative({
    out,
    options: {
      TORCHSEARCH_LIBTORCH: folder,
      TORCHSEARCH_OUTPUT: addons,
      TORCHSEARCH_UNITY: process.env.TORCHSEARCH_UNITY ?? "ON",
    },
    targets: tests ? ["torchsearch_tests"] : [],
  });
  install(addons);
  return { libTorch: folder, minor, out };
}

// The test suites. Each runs a test program, shows its output, and gives { passed, failed, skipped }. A program that ends
// without telling its counts has failed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { runDoctest, settled } from "./counts.mjs";
import { exportersSuite } from "./exporters-suite.mjs";
import { packageSuite } from "./package-suite.mjs";
import { ensurePython, torchRoot } from "./python.mjs";
import { root } from "./run.mjs";
import { readersSuite, sanitizeSuite } from "./sanitize-suite.mjs";
import { trainersSuite } from "./trainers-suite.mjs";
import { versionsSuite } from "./versions-suite.mjs";

function runTests(command, args, env) {
  // For PyTorch in Python, whose threads would spin where two tests share the cores; the addon sees to its own.
  const brief = { GOMP_SPINCOUNT: "1000" };
  return spawnSync(command, args, {
    cwd: root,
    env: { ...brief, ...process.env, ...env },
    stdio: ["ignore", 2, 2],
  });
}

/** The C++ unit tests. */
function cpp({ out, env }) {
  return runDoctest(path.join(out, "torchsearch_tests"), env);
}

/** The TypeScript tests (vitest): all of them, or these files. */
function unit({ env }, files = []) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-test-"));
  const report = path.join(folder, "vitest.json");
  const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs");
  try {
    const { status } = runTests(
      process.execPath,
      [vitest, "run", ...files, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
      env,
    );
    const result = JSON.parse(readFileSync(report, "utf8"));
    // A file that cannot be imported has no tests, and must not pass for that.
    const broken = result.testResults.filter(
      (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
    ).length;
    const counts = {
      passed: result.numPassedTests,
      failed: result.numFailedTests + broken,
      skipped: result.numPendingTests + result.numTodoTests,
    };
    return settled(counts, status);
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The addon's exports against their declarations: one test. */
function exports({ env }) {
  const { status } = runTests(process.execPath, [path.join(root, "scripts", "check-exports.mjs")], env);
  return settled({ passed: status === 0 ? 1 : 0, failed: 0, skipped: 0 }, status);
}

/**
 * The one source that needs CUDA's headers (native/cuda) goes through the compiler: one test. The rest of the CUDA path is
 * written without them, and is part of the ordinary build.
 */
async function cuda({ env }) {
  const include = path.join(env.TORCHSEARCH_LIBTORCH, "include");
  if (!existsSync(path.join(include, "ATen", "core", "GraphImplInterface.h")))
    return { passed: 0, failed: 0, skipped: 1 };
  await ensurePython(["cuda"]);
  // Only CUDA builds of PyTorch have this header; all it would say is how PyTorch was built.
  const stub = path.join(root, ".build", "cuda-headers");
  const macros = path.join(stub, "c10", "cuda", "impl");
  mkdirSync(macros, { recursive: true });
  writeFileSync(path.join(macros, "cuda_cmake_macros.h"), "");
  const headers = path.join(path.dirname(torchRoot()), "nvidia", "cu13", "include");
  const flags = ["-std=c++20", "-fPIC", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"];
  const includes = [include, headers, stub].flatMap((folder) => ["-isystem", folder]);
  const source = path.join(root, "native", "cuda", "cuda_graph.cpp");
  const { status } = runTests(process.env.CXX ?? "c++", [...flags, ...includes, source]);
  return settled({ passed: status === 0 ? 1 : 0, failed: 0, skipped: 0 }, status);
}

/** Three new users' ways from the packed file (scripts/first-hour.mjs): one test, whose output says what each typed. */
function firstHour({ env }) {
  const { status } = runTests(process.execPath, [path.join(root, "scripts", "first-hour.mjs")], env);
  return settled({ passed: status === 0 ? 1 : 0, failed: 0, skipped: 0 }, status);
}

export const SUITES = {
  cpp,
  cuda,
  exports,
  package: packageSuite,
  "first-hour": firstHour,
  readers: readersSuite,
  unit,
  versions: versionsSuite,
  sanitize: (prepared) => sanitizeSuite("address,undefined", prepared),
  threads: (prepared) => sanitizeSuite("thread", prepared),
  trainers: trainersSuite,
  exporters: (prepared) => exportersSuite(prepared, unit),
};

/** Suites that compile the whole core once more, for a sanitizer, or install much; the nightly workflow runs them. */
export const BY_NAME_ONLY = ["sanitize", "threads", "trainers", "exporters"];

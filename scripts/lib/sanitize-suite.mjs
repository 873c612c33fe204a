// The suites `sanitize` (addresses, undefined behaviour, leaks) and `threads` (data races): the core and its tests are
// built once more, instrumented, into a build folder of their own, where a later run finds what is up to date. The C++
// tests run, and then the core reads mutated files (test/fuzz/native.ts). The suite `readers` does the latter with a
// program of which only what reads files is instrumented, which is built soon enough for every change.
import { spawnSync } from "node:child_process";
import path from "node:path";

import { bundleTests } from "./bundle-tests.mjs";
import { runDoctest } from "./counts.mjs";
import { buildTargets, compileNative } from "./native.mjs";
import { root, say } from "./run.mjs";

const suppressions = (name) => `suppressions=${path.join(root, "native", "tests", "fuzz", name)}`;

/** What each sanitizer is told at run time. */
const SETTINGS = {
  "address,undefined": {
    // LibTorch's containers are not instrumented, and say nothing of their unused parts. An allocation that is too
    // large is an error that the core has to handle, as without the sanitizer.
    ASAN_OPTIONS: "detect_container_overflow=0:allocator_may_return_null=1:max_allocation_size_mb=8000",
    UBSAN_OPTIONS: "print_stacktrace=1",
    LSAN_OPTIONS: `${suppressions("leaks.supp")}:print_suppressions=0`,
  },
  // LibTorch's own synchronization can't be seen.
  thread: {
    TSAN_OPTIONS: `allocator_may_return_null=1:ignore_noninstrumented_modules=1:${suppressions("races.supp")}`,
  },
};

/** Mutated files that the core reads, of each kind. */
const FILES = 500;

/** Lets an instrumented program read mutated files: one test. */
async function readMutated(program, { folder, env }) {
  const script = await bundleTests("fuzz/native.ts", path.join(folder, "native.cjs"));
  const { status } = spawnSync(process.execPath, [script, program, String(FILES)], {
    cwd: root,
    env: { ...process.env, ...env, NODE_PATH: path.join(root, "node_modules") },
    stdio: ["ignore", 2, 2],
  });
  return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
}

async function timed(what, run) {
  const begin = performance.now();
  await run();
  say(`${what}: ${((performance.now() - begin) / 1000).toFixed(0)} s`);
}

export async function sanitizeSuite(sanitizer, { env }) {
  const folder = path.join(root, ".build", `sanitize-${sanitizer.split(",")[0]}`);
  await timed("Instrumented build", () =>
    compileNative({
      out: folder,
      options: {
        TORCHSEARCH_LIBTORCH: env.TORCHSEARCH_LIBTORCH,
        TORCHSEARCH_BUILD_ADDON: "OFF",
        TORCHSEARCH_SANITIZE: sanitizer,
        CMAKE_CXX_FLAGS_RELEASE: "-O1 -DNDEBUG",
      },
      targets: ["torchsearch_tests", "torchsearch_mutated_files"],
    }),
  );
  const settings = { ...env, ...SETTINGS[sanitizer], OMP_NUM_THREADS: "2" };
  const counts = runDoctest(path.join(folder, "torchsearch_tests"), settings);
  const read = await readMutated(path.join(folder, "torchsearch_mutated_files"), { folder, env: settings });
  return { ...counts, passed: counts.passed + read.passed, failed: counts.failed + read.failed };
}

/** @param prepared `out` is the folder of the ordinary build */
export async function readersSuite({ out, env }) {
  // Other systems name their sanitizers' libraries and options otherwise.
  if (process.platform !== "linux") return { passed: 0, failed: 0, skipped: 1 };
  const program = "torchsearch_checked_readers";
  await timed("Instrumented readers", () => buildTargets(out, [program]));
  const settings = { ...env, ...SETTINGS["address,undefined"], OMP_NUM_THREADS: "2" };
  return readMutated(path.join(out, program), { folder: out, env: settings });
}

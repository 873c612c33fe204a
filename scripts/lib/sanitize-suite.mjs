// The suites `sanitize` (addresses, undefined behaviour, leaks) and `threads` (data races): the core and its tests are
// built once more, instrumented, into a build folder of their own, where a later run finds what is up to date. The C++
// tests run, and then the core reads mutated models (test/fuzz/native.ts).
import { spawnSync } from "node:child_process";
import path from "node:path";

import { bundleTests } from "./bundle-tests.mjs";
import { runDoctest } from "./counts.mjs";
import { compileNative } from "./native.mjs";
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
  thread: { TSAN_OPTIONS: `ignore_noninstrumented_modules=1:${suppressions("races.supp")}` },
};

/** Mutated models that the core reads. */
const FILES = 500;

export async function sanitizeSuite(sanitizer, { env }) {
  const folder = path.join(root, ".build", `sanitize-${sanitizer.split(",")[0]}`);
  const begin = performance.now();
  await compileNative({
    out: folder,
    options: {
      TORCHSEARCH_LIBTORCH: env.TORCHSEARCH_LIBTORCH,
      TORCHSEARCH_BUILD_ADDON: "OFF",
      TORCHSEARCH_SANITIZE: sanitizer,
      CMAKE_CXX_FLAGS_RELEASE: "-O1 -DNDEBUG",
    },
    targets: ["torchsearch_tests", "torchsearch_mutated_files"],
  });
  say(`Instrumented build: ${((performance.now() - begin) / 1000).toFixed(0)} s`);
  const settings = { ...SETTINGS[sanitizer], OMP_NUM_THREADS: "2" };
  const counts = runDoctest(path.join(folder, "torchsearch_tests"), { ...env, ...settings });

  const program = await bundleTests("fuzz/native.ts", path.join(folder, "native.cjs"));
  const { status } = spawnSync(
    process.execPath,
    [program, path.join(folder, "torchsearch_mutated_files"), String(FILES)],
    {
      cwd: root,
      env: { ...process.env, ...settings, NODE_PATH: path.join(root, "node_modules") },
      stdio: ["ignore", 2, 2],
    },
  );
  if (status === 0) counts.passed += 1;
  else counts.failed += 1;
  return counts;
}

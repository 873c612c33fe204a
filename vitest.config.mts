import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/property-seed.ts"],
    // LibTorch's threads do not survive worker_threads being torn down; a process of its own per file does.
    pool: "forks",
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    // Two files run at a time: threads that outnumber the cores wait for each other by spinning, many times longer than
    // the models of these tests take.
    env: { OMP_NUM_THREADS: "1" },
    // No test is about time; a machine that does other things, too, takes several times longer.
    testTimeout: 240_000,
    hookTimeout: 120_000,
  },
});

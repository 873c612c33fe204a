// The options that benchmarks share.
import { parseArgs } from "node:util";

/**
 * `--quick` uses tiny numbers of repetitions, to test a benchmark, and writes no page; nor does `--dry`. `--only` picks
 * the cases that contain one of some words. `extra` adds options, as node:util's parseArgs takes them.
 */
export function benchOptions(extra = {}) {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      dry: { type: "boolean", default: false },
      only: { type: "string" },
      rounds: { type: "string" },
      threads: { type: "string", default: process.env.OMP_NUM_THREADS ?? "1" },
      ...extra,
    },
  });
  const words = values.only?.split(",");
  const threads = Number(values.threads);
  process.env.OMP_NUM_THREADS = String(threads); // of all processes that are started from here
  return {
    ...values,
    threads,
    /** Pairs in a comparison. */
    rounds: Number(values.rounds ?? (values.quick ? 2 : 9)),
    /** Whether the tables go into the pages. */
    writes: !values.quick && !values.dry && words === undefined,
    wanted: (name) => words === undefined || words.some((word) => name.includes(word)),
  };
}

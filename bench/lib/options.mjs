// The options that benchmarks share.
import { parseArgs } from "node:util";

/**
 * `--quick` takes tiny numbers of repetitions, to see that a benchmark works, and writes no page; nor does `--dry`.
 * `--only` picks what contains one of some words. What `extra` adds is parsed along, as node:util's parseArgs does.
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

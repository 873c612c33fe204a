// The end of a benchmark: its text on standard output and, unless it was a trial, in the page and in .bench/results.
import { machine } from "./machine.mjs";
import { keepRaw, writeSection } from "./page.mjs";

/**
 * @param {string} name the benchmark's, and its markers'
 * @param {{ writes: boolean, threads: number }} options of benchOptions()
 * @param {{ text: string, raw?: unknown, page?: string, before: string }} result `before`: machine() at the start
 */
export function finish(name, { writes }, { text, raw, page = "benchmarks.md", before }) {
  const whole = `${text}\n\nMeasured on ${before}`;
  console.log(whole);
  if (!writes) return;
  writeSection(page, name, whole);
  if (raw !== undefined) keepRaw(name, raw);
}

export { machine };

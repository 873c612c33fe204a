// `npm test [-- suite …]`: sets up what the tests need, runs every suite but those that run only by name (or those
// named), and ends with one line that sums them up: `N passed, N failed[, N skipped]`. Exit code 1 when a test failed or
// none ran.
import { main, SetupError, say } from "./lib/run.mjs";
import { setup } from "./lib/setup.mjs";
import { BY_NAME_ONLY, SUITES } from "./lib/suites.mjs";

main(async () => {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !Object.hasOwn(SUITES, name));
  if (unknown)
    throw new SetupError(`There is no suite "${unknown}": choose of ${Object.keys(SUITES).join(", ")}.`);
  const sum = { passed: 0, failed: 0, skipped: 0 };
  try {
    const prepared = await setup(["zoo", "timm"], { tests: names.length === 0 || names.includes("cpp") });
    const all = Object.keys(SUITES).filter((name) => !BY_NAME_ONLY.includes(name));
    for (const name of names.length > 0 ? names : all) {
      say(`Suite ${name}`);
      const start = performance.now();
      const counts = await SUITES[name](prepared);
      const minutes = ((performance.now() - start) / 60_000).toFixed(1);
      say(
        `Suite ${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped in ${minutes} minutes`,
      );
      for (const key of Object.keys(sum)) sum[key] += counts[key];
    }
  } catch (error) {
    // A failed set-up fails the run; the closing line counts it.
    process.stderr.write(`[torchsearch] ${error instanceof SetupError ? error.message : error.stack}\n`);
    sum.failed += 1;
  }
  if (sum.failed > 0 || sum.passed === 0) process.exitCode = 1;
  const skipped = sum.skipped > 0 ? `, ${sum.skipped} skipped` : "";
  process.stdout.write(`${sum.passed} passed, ${sum.failed} failed${skipped}\n`);
});

/** What counts as a fall of speed: `npm run bench -- guard`. */
import { expect, it } from "vitest";

import { compare } from "../../bench/lib/guarded.mjs";

const around = (median: number, spread = 0.1) => ({ min: median - spread, median, max: median + spread });
const verdict = (before: number, now: number, spread = 0.1): string =>
  compare({ a: around(before, spread) }, { a: around(now, spread) })[0]?.verdict ?? "none";

it("reports a fall beyond the spread, and fails only beyond 1.5 x", () => {
  expect(verdict(2, 2)).toBe("as before");
  expect(verdict(2, 3)).toBe("as before");
  expect(verdict(2, 1.85)).toBe("as before");
  expect(verdict(2, 1.7)).toBe("slower");
  expect(verdict(2, 1.34)).toBe("slower");
  expect(verdict(2, 1.3)).toBe("failed");
  // A disturbed run: its best is as good as before.
  expect(verdict(2, 1.2, 0.5)).toBe("as before");
});

it("names ratios that are new or missing, and how far each fell", () => {
  const rows = compare({ gone: around(1), kept: around(2) }, { kept: around(1), fresh: around(3) });
  expect(rows.map(({ name, verdict }) => [name, verdict])).toEqual([
    ["gone", "missing"],
    ["kept", "failed"],
    ["fresh", "new"],
  ]);
  expect(rows[1]?.fell).toBeCloseTo(2);
});

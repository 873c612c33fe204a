/** Values at which readers go wrong. */

export const EXTREMES: readonly number[] = [
  0,
  -1,
  1,
  2,
  7,
  255,
  65_535,
  2 ** 31 - 1,
  -(2 ** 31),
  2 ** 32,
  1e12,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
];

/** Texts in the place of a JSON value; some are none. */
export const JSON_VALUES: readonly string[] = [
  "null",
  "true",
  "-1",
  "0",
  "1.5",
  "1e999",
  "-0",
  "9007199254740993",
  "NaN",
  "[]",
  "{}",
  '""',
  '"\\ud800"',
  '"__proto__"',
  '"../../../../escaped"',
  '{"__proto__":{"polluted":1}}',
  '[{"__proto__":{"polluted":1}}]',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"$number":"-0"}',
  '{"$record":[["__proto__",{"polluted":true}]]}',
  `"${"y".repeat(100_000)}"`,
  "[".repeat(100_000),
  `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`,
];

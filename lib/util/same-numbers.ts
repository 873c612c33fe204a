/** Whether two records of numbers are equal, in any order of their keys. */
export function sameNumbers(
  a: Readonly<Record<string, number>> | null,
  b: Readonly<Record<string, number>>,
): boolean {
  if (a === null) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

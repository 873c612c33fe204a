/** Groups of neighbours that fit in memory together, in their order; one that never fits is alone. */
export function memoryGroups<T>(items: readonly T[], bytesOf: (item: T) => number, budget: number): T[][] {
  const groups: T[][] = [];
  let free = 0;
  for (const item of items) {
    const bytes = bytesOf(item);
    if (groups.length === 0 || bytes > free) {
      groups.push([]);
      free = budget;
    }
    groups.at(-1)?.push(item);
    free -= bytes;
  }
  return groups;
}

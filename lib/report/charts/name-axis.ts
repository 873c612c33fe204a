/** The vertical axis of charts with one row for each of some names, such as layers. */

/** Longer names are cut in the middle; the tooltip has them whole. */
const LONGEST = 44;
const LONGEST_NARROW = 18;

/** Names down the left side, and the margin that they need. */
export function nameAxis(rows: readonly { name: string }[], { narrow }: { narrow: boolean }) {
  const short = new Map(rows.map(({ name }) => [name, shortened(name, narrow ? LONGEST_NARROW : LONGEST)]));
  const longest = Math.max(...[...short.values()].map(({ length }) => length));
  return {
    marginLeft: Math.min(340, 24 + 7 * longest),
    y: {
      domain: rows.map(({ name }) => name),
      label: null,
      tickFormat: (name: string): string => short.get(name) ?? name,
      tickSize: 0,
    },
  };
}

/** A name that fits beside a bar. */
export function shortened(name: string, longest = LONGEST): string {
  if (name.length <= longest) return name;
  const head = Math.floor((longest - 1) / 3);
  return `${name.slice(0, head)}…${name.slice(name.length - (longest - 1 - head))}`;
}

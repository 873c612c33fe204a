/** The most marks that a chart draws: a browser needs seconds for ten times as many. */
export const MOST_MARKS = 5000;
/** The same where screens are narrow. */
const MOST_NARROW = 1000;

/** The most marks that a pen draws in a chart. */
export function mostMarks({ narrow }: { narrow: boolean }): number {
  return narrow ? MOST_NARROW : MOST_MARKS;
}

/** Pixels of a grid's first cells, which are far smaller than a mark. */
const FINEST = 2;

/**
 * All points where they are few, else one for each cell of a grid, which is as fine as `most` allows. Of marks
 * that cover each other, it keeps the last, which is the visible one. Points in `keep` are always kept.
 *
 * @param place where a point is drawn
 * @param width pixels that the points are spread over
 * @param height pixels that the points are spread over
 * @param most marks at most
 */
export function thinned<Point>(
  points: readonly Point[],
  place: (point: Point) => { x: number; y: number },
  {
    width,
    height,
    keep = new Set(),
    most = MOST_MARKS,
  }: { width: number; height: number; keep?: ReadonlySet<Point>; most?: number },
): readonly Point[] {
  if (points.length <= most) return points;
  const places = points.map(place);
  const across = scale(
    places.map(({ x }) => x),
    width,
  );
  const down = scale(
    places.map(({ y }) => y),
    height,
  );
  for (let cell = FINEST; ; cell *= 1.25) {
    const taken = new Map<string, number>();
    for (const [at, { x, y }] of places.entries())
      taken.set(`${Math.floor(across(x) / cell)},${Math.floor(down(y) / cell)}`, at);
    if (taken.size > most) continue;
    const seen = new Set(taken.values());
    return points.filter((point, at) => seen.has(at) || keep.has(point));
  }
}

/** From values to pixels. */
function scale(values: readonly number[], pixels: number): (value: number) => number {
  const [low, high] = extent(values);
  const span = high > low ? high - low : 1;
  return (value) => ((value - low) / span) * pixels;
}

/** The least and the greatest of values, which may be more than a call can have arguments. */
export function extent(values: readonly number[]): [least: number, most: number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return [least, most];
}

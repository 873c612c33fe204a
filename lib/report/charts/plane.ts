import { formatCost, headingOf } from "../../profile/metrics";
import type { ReportData, ReportMeasurement } from "../data";
import type { Html } from "../html";
import { axisOf, formatScore } from "../units";
import type { Pen } from "./draw";
import { highestCost, lowestShown } from "./reach";
import { extent, mostMarks, thinned } from "./thin";

/** A measured subnet with a known cost. */
export interface PlanePoint extends ReportMeasurement {
  cost: number;
}

/** The measured subnets whose cost by a metric is known, without the full model. */
export function pointsOf(data: ReportData, metric: string): PlanePoint[] {
  return data.measurements.flatMap((measured) => {
    const cost = measured.costs?.[metric];
    return cost === undefined ? [] : [{ ...measured, cost }];
  });
}

/** The points that no other point beats in both cost and score, by rising cost. */
export function frontOf<Point extends { cost: number; score: number }>(points: readonly Point[]): Point[] {
  const front: Point[] = [];
  for (const point of [...points].sort((a, b) => a.cost - b.cost || b.score - a.score))
    if (front.length === 0 || point.score > (front.at(-1) as Point).score) front.push(point);
  return front;
}

const HEIGHT = 420;
/** With this many points or more, dots are smaller. */
const MANY = 1000;

/** The points that are drawn; of very many, only the visible ones and the whole front. */
export function drawnOf(
  data: ReportData,
  metric: string,
  pen: Pick<Pen, "narrow" | "width"> = { narrow: false, width: 880 },
): readonly PlanePoint[] {
  const points = pointsOf(data, metric);
  const low = lowestShown(data);
  const most = highestCost(data, metric);
  const place = ({ cost, score }: PlanePoint) => ({ x: Math.min(cost, most), y: Math.max(score, low) });
  const keep = new Set(frontOf(points));
  return thinned(points, place, { width: pen.width, height: HEIGHT, keep, most: mostMarks(pen) });
}

/** A front's line stops where neighbours are further apart than this share of the width: nothing was measured there. */
const GAP = 1 / 12;

/** The parts of a front that are drawn as lines, between measured points that are close. */
export function linesOf<Point extends { cost: number }>(front: readonly Point[], span: number): Point[][] {
  const lines: Point[][] = [];
  for (const point of front) {
    const line = lines.at(-1);
    if (line !== undefined && point.cost - (line.at(-1) as Point).cost <= GAP * span) line.push(point);
    else lines.push([point]);
  }
  return lines.filter(({ length }) => length > 1);
}

/** Score over cost: every measured subnet, the front, the constraint, the full model and the best subnet. */
export function drawPlane(pen: Pen, data: ReportData, metric: string): Html {
  const { Plot, draw, narrow, width } = pen;
  const points = pointsOf(data, metric);
  const { full, best } = data;
  const bound = data.bounds[metric];
  const fullCost = full.costs[metric] as number;
  const costs = points.map(({ cost }) => cost);
  const { label, factor } = axisOf(metric, Math.max(fullCost, extent(costs)[1]));
  const highest = highestCost(data, metric);
  const x = ({ cost }: { cost: number }): number => Math.min(cost, highest) / factor;
  const tip = ({ label: name, cost, score }: { label: string; cost: number; score: number }): string =>
    `${name}\n${headingOf(metric)}: ${formatCost(metric, cost)}\n${data.scoreTitle}: ${formatScore(score)}`;
  const [least, most] = extent(
    [...costs, ...(full.score === null ? [] : [fullCost]), ...(bound === undefined ? [] : [bound])].map(
      (cost) => Math.min(cost, highest),
    ),
  );
  const atRight = bound !== undefined && bound > (least + most) / 2;
  const whole = full.score === null ? [] : [{ label: "full model", cost: fullCost, score: full.score }];
  const chosen =
    best === null || best.score === null
      ? []
      : [{ label: "best subnet", cost: best.costs[metric] as number, score: best.score }];
  const low = lowestShown(data);
  const y = ({ score }: { score: number }): number => Math.max(score, low);
  const symbol = ({ score, cost }: { score: number; cost: number }): string =>
    score < low ? "triangle2" : cost > highest ? "diamond" : "circle";
  const front = frontOf([...points, ...whole]);
  const drawn = drawnOf(data, metric, pen);
  const onFront = new Set<unknown>(frontOf(drawn));
  const of = (kind: ReportMeasurement["kind"]): PlanePoint[] => drawn.filter((point) => point.kind === kind);
  const description =
    `Scatter plot of ${data.scoreTitle} over ${headingOf(metric)} for ${points.length} measured subnets` +
    (best === null ? "." : `; the best one costs ${formatCost(metric, best.costs[metric] as number)}.`);
  return draw(
    {
      className: "plane",
      width,
      height: HEIGHT,
      marginLeft: narrow ? 58 : 68,
      marginBottom: 44,
      marginRight: narrow ? 14 : 24,
      marginTop: 30,
      grid: true,
      inset: 10,
      symbol: { type: "identity" },
      x: {
        label: `${label} →`,
        labelArrow: "none",
        labelAnchor: "center",
        zero: false,
        ...(narrow && { ticks: 4 }),
      },
      y: { label: `↑ ${data.scoreTitle} (higher is better)`, labelArrow: "none" },
      marks: [
        ...(bound === undefined
          ? []
          : [
              Plot.ruleX([bound / factor], {
                stroke: "var(--bound)",
                strokeWidth: 2,
                strokeDasharray: "6 4",
              }),
              Plot.text([bound / factor], {
                x: (d: number) => d,
                frameAnchor: "bottom",
                lineAnchor: "bottom",
                dy: -4,
                // On the side that has room.
                dx: atRight ? -8 : 8,
                textAnchor: atRight ? "end" : "start",
                text: () => `at most ${formatCost(metric, bound)}`,
                fill: "var(--bound)",
                stroke: "var(--page)",
                strokeWidth: 4,
                fontWeight: 600,
              }),
            ]),
        ...linesOf(front, most - least).map((line) =>
          Plot.line(line, { x, y, stroke: "var(--front)", strokeWidth: 1.5, curve: "step-after" }),
        ),
        Plot.dot(of("narrowing"), {
          x,
          y,
          symbol,
          r: 3,
          fill: "var(--quiet)",
          fillOpacity: 0.55,
          title: tip,
          className: "narrowings",
        }),
        Plot.dot(of("candidate"), {
          x,
          y,
          symbol,
          r: drawn.length > MANY ? 3 : 4.5,
          fill: "var(--candidate)",
          fillOpacity: 0.75,
          stroke: "var(--page)",
          strokeWidth: drawn.length > MANY ? 0.5 : 0.75,
          title: tip,
          className: "candidates",
        }),
        Plot.dot(
          drawn.filter((point) => onFront.has(point)),
          {
            x,
            y,
            r: 7,
            fill: "none",
            stroke: "var(--front)",
            strokeWidth: 2,
            pointerEvents: "none",
            className: "front",
          },
        ),
        Plot.dot(whole, {
          x,
          y,
          r: 6.5,
          symbol: "square",
          fill: "var(--text)",
          title: tip,
          className: "full-model",
        }),
        Plot.dot(chosen, {
          x,
          y,
          r: 8,
          symbol: "star",
          fill: "var(--best)",
          stroke: "var(--page)",
          title: tip,
          className: "best-subnet",
        }),
      ],
    },
    description,
  );
}

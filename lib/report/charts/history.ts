import type { ReportData, ReportMeasurement } from "../data";
import type { Html } from "../html";
import { formatScore } from "../units";
import type { Pen } from "./draw";
import { lowestShown } from "./reach";
import { mostMarks, thinned } from "./thin";

const HEIGHT = 300;
/** With this many points or more, dots are smaller. */
const MANY = 1000;

/** A measurement and its number, from 1. */
interface HistoryPoint extends ReportMeasurement {
  at: number;
}

/** The measurements that are drawn; of very many, only the visible ones. */
export function drawnHistory(data: ReportData, pen: Pick<Pen, "narrow" | "width">): readonly HistoryPoint[] {
  const points = data.measurements.map((measured, at) => ({ ...measured, at: at + 1 }));
  const low = lowestShown(data);
  return thinned(points, ({ at, score }) => ({ x: at, y: Math.max(score, low) }), {
    width: pen.width,
    height: HEIGHT,
    most: mostMarks(pen),
  });
}

/** Scores in the order of measurement, and the best so far among those that meet the constraints. */
export function drawHistory(pen: Pen, data: ReportData): Html {
  const { Plot, draw, narrow, width } = pen;
  const points = data.measurements.map((measured, at) => ({ ...measured, at: at + 1 }));
  const drawn = drawnHistory(data, pen);
  const bests: { at: number; score: number }[] = [];
  for (const { fits, score, at } of points)
    if (fits && score > (bests.at(-1)?.score ?? Number.NEGATIVE_INFINITY)) bests.push({ at, score });
  const low = lowestShown(data);
  const y = ({ score }: { score: number }): number => Math.max(score, low);
  const last = bests.at(-1);
  const line = last === undefined ? [] : [...bests, { at: points.length, score: last.score }];
  const tip = ({ at, label, score, fits }: HistoryPoint): string =>
    `${at}: ${label}\n${data.scoreTitle}: ${formatScore(score)}\n${fits ? "meets the constraints" : "exceeds a constraint"}`;
  return draw(
    {
      className: "history",
      width,
      height: HEIGHT,
      marginLeft: 68,
      marginBottom: 44,
      marginTop: 30,
      marginRight: 24,
      inset: 8,
      grid: true,
      x: { label: "Measurement →", labelArrow: "none", labelAnchor: "center", ...(narrow && { ticks: 4 }) },
      y: { label: `↑ ${data.scoreTitle} (higher is better)`, labelArrow: "none" },
      marks: [
        Plot.dot(drawn, {
          x: "at",
          y,
          symbol: ({ score }: { score: number }) => (score < low ? "triangle2" : "circle"),
          r: ({ kind }: { kind: string }) => (kind === "candidate" && drawn.length <= MANY ? 4 : 2.5),
          fill: ({ fits }: { fits: boolean }) => (fits ? "var(--candidate)" : "var(--quiet)"),
          fillOpacity: 0.7,
          title: tip,
          className: "measurements",
        }),
        Plot.line(line, {
          x: "at",
          y,
          curve: "step-after",
          stroke: "var(--best)",
          strokeWidth: 2.5,
        }),
      ],
      r: { type: "identity" },
      symbol: { type: "identity" },
      color: { type: "identity" },
    },
    `Scores of ${points.length} measurements in order` +
      (last === undefined
        ? "."
        : `; the best that meets the constraints is ${formatScore(last.score)}, number ${last.at}.`),
  );
}

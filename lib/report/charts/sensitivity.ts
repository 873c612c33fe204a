import type { ReportData, ReportSensitivity } from "../data";
import { type Html, html } from "../html";
import { formatScore } from "../units";
import type { Pen } from "./draw";
import { shortened } from "./name-axis";

/** One small chart for each hyperparameter, all on the same scale: the fall of the score as it alone is narrowed. */
export function drawSensitivities(pen: Pen, data: ReportData): Html[] {
  const most = Math.max(...data.sensitivity.flatMap(({ degradation }) => degradation), 1e-12);
  const selected = new Map(data.widths.map((width) => [width.name, width.selected]));
  return data.sensitivity.map(
    (curve) =>
      html`<figure class="small"><figcaption title="${curve.name}">${shortened(curve.name, 30)}</figcaption>${drawOne(pen, curve, most, selected.get(curve.name) ?? null)}</figure>`,
  );
}

function drawOne(
  { Plot, draw }: Pen,
  { name, choices, scores, degradation }: ReportSensitivity,
  most: number,
  selected: number | null,
): Html {
  const full = choices.at(-1) as number;
  const points = choices.map((choice, at) => ({
    choice,
    harm: degradation[at] as number,
    score: scores[at] ?? null,
  }));
  const chosen = points.filter(({ choice }) => choice === selected);
  const tip = ({ choice, harm, score }: (typeof points)[number]): string =>
    `${name} at ${choice} of ${full}\nharm: ${formatScore(harm)}${score === null ? "" : `\nscore: ${formatScore(score)}`}`;
  return draw(
    {
      className: "curve",
      width: 240,
      height: 130,
      marginLeft: 46,
      marginRight: 12,
      marginTop: 8,
      marginBottom: 34,
      x: {
        domain: [0, full],
        label: "width",
        labelAnchor: "center",
        labelArrow: "none",
        ticks: full < 4 ? choices : 4,
        ...(full < 4 && { tickFormat: "d" }),
      },
      y: { domain: [0, most], label: null, ticks: 3, grid: true },
      marks: [
        Plot.areaY(points, { x: "choice", y: "harm", fill: "var(--candidate)", fillOpacity: 0.15 }),
        Plot.line(points, { x: "choice", y: "harm", stroke: "var(--candidate)", strokeWidth: 1.5 }),
        Plot.dot(points, {
          x: "choice",
          y: "harm",
          r: 2.5,
          fill: "var(--candidate)",
          title: tip,
          className: "choices",
        }),
        Plot.dot(chosen, {
          x: "choice",
          y: "harm",
          r: 5.5,
          symbol: "star",
          fill: "var(--best)",
          title: (point: (typeof points)[number]) => `${tip(point)}\nchosen`,
          className: "chosen",
        }),
      ],
    },
    `Line chart for ${name}: narrowed alone to ${choices[0]} of ${full}, the score falls by ${formatScore(degradation[0] ?? 0)}.`,
  );
}

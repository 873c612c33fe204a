import { formatCost, headingOf } from "../../profile/metrics";
import { formatPercent } from "../../profile/units";
import type { ReportData, ReportDensity } from "../data";
import type { Html } from "../html";
import type { Pen } from "./draw";
import { nameAxis } from "./name-axis";

const ROW = 22;
const MARGIN = 46;

type Done = ReportDensity & { density: number };

/** One bar for each layer: the share of its weights that is kept, and the error of its outputs. */
export function drawDensities(pen: Pen, { densities }: ReportData): Html {
  const { Plot, draw, narrow } = pen;
  const layers = densities.filter((layer): layer is Done => layer.density !== null);
  const names = nameAxis(layers, pen);
  const errors = layers.some(({ error }) => error !== null);
  const tip = ({ name, kind, elements, density, error }: Done): string =>
    [
      `${name} (${kind})`,
      `${formatPercent(density)} of ${formatCost("params", elements)} weights stay`,
      ...(error === null ? [] : [`outputs are off by ${formatPercent(error)} in squares`]),
    ].join("\n");
  const bar = { y: "name", insetTop: 4, insetBottom: 4, title: tip };
  return draw(
    {
      className: "densities",
      width: pen.width,
      height: layers.length * ROW + 2 * MARGIN,
      marginLeft: names.marginLeft,
      marginRight: errors && !narrow ? 190 : 64,
      marginTop: MARGIN,
      marginBottom: MARGIN,
      x: { domain: [0, 100] },
      y: names.y,
      marks: [
        Plot.axisX({
          anchor: "bottom",
          label: `${headingOf("density")} (%)`,
          labelAnchor: "center",
          labelArrow: "none",
        }),
        Plot.axisX({ anchor: "top", label: null }),
        Plot.gridX(),
        Plot.barX(layers, { ...bar, x1: 0, x2: 100, fill: "var(--bar)" }),
        Plot.barX(layers, {
          ...bar,
          x1: 0,
          x2: ({ density }: Done) => 100 * density,
          fill: "var(--candidate)",
          className: "kept",
        }),
        Plot.text(layers, {
          x: 100,
          y: "name",
          dx: 10,
          text: ({ density, error }: Done) =>
            `${formatPercent(density)}${error === null || narrow ? "" : `, off by ${formatPercent(error)}`}`,
          textAnchor: "start",
          fontVariant: "tabular-nums",
        }),
      ],
    },
    `Bar chart of the share of its weights that each of ${layers.length} layers keeps.`,
  );
}

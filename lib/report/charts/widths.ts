import { formatPercent } from "../../profile/units";
import { withoutLeftOut } from "../../space/left-out";
import type { ReportData, ReportWidth } from "../data";
import type { Html } from "../html";
import type { Pen } from "./draw";
import { nameAxis } from "./name-axis";

const ROW = 22;
const MARGIN = 46;

/** One bar for each hyperparameter: the part of its full width that the best subnet keeps. */
export function drawWidths(pen: Pen, data: ReportData): Html {
  const { Plot, draw, narrow } = pen;
  const widths = withoutLeftOut(data.widths).filter(
    (width): width is ReportWidth & { selected: number } => width.selected !== null,
  );
  const names = nameAxis(widths, pen);
  const tip = ({ name, kind, full, selected }: ReportWidth & { selected: number }): string =>
    `${name}${kind === "" ? "" : ` (${kind})`}\n${selected} of ${full}: ${formatPercent(selected / full)} kept`;
  const kept = ({ kind, full, selected }: { kind: string; full: number; selected: number }): string =>
    kind !== "depth" ? `${selected} of ${full}` : selected === 0 ? "left out" : "kept";
  const narrowed = widths.filter(({ full, selected }) => selected < full).length;
  return draw(
    {
      className: "widths",
      width: pen.width,
      height: widths.length * ROW + 2 * MARGIN,
      marginLeft: names.marginLeft,
      marginRight: narrow ? 76 : 100,
      marginTop: MARGIN,
      marginBottom: MARGIN,
      x: { domain: [0, 100] },
      y: names.y,
      marks: [
        Plot.axisX({
          anchor: "bottom",
          label: "Width kept (% of the full one)",
          ...(narrow && { ticks: 3 }),
          labelAnchor: "center",
          labelArrow: "none",
        }),
        Plot.axisX({ anchor: "top", label: null, ...(narrow && { ticks: 3 }) }),
        Plot.gridX(),
        Plot.barX(widths, {
          x1: 0,
          x2: 100,
          y: "name",
          fill: "var(--bar)",
          insetTop: 4,
          insetBottom: 4,
          title: tip,
        }),
        Plot.barX(widths, {
          x1: 0,
          x2: ({ full, selected }) => (100 * selected) / full,
          y: "name",
          fill: "var(--candidate)",
          insetTop: 4,
          insetBottom: 4,
          title: tip,
          className: "widths",
        }),
        ...[true, false].map((bold) =>
          Plot.text(
            widths.filter(({ full, selected }) => selected < full === bold),
            {
              x: 100,
              y: "name",
              dx: 10,
              text: kept,
              textAnchor: "start",
              fontVariant: "tabular-nums",
              fontWeight: bold ? 600 : 400,
            },
          ),
        ),
      ],
    },
    `Bar chart of the widths that the best subnet keeps: ${narrowed} of ${widths.length} hyperparameters are narrowed.`,
  );
}

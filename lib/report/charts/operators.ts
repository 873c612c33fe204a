import { formatCost } from "../../profile/metrics";
import { formatPercent } from "../../profile/units";
import type { ReportOperator } from "../data";
import type { Html } from "../html";
import { axisOf } from "../units";
import type { Pen } from "./draw";
import { nameAxis } from "./name-axis";

const ROW = 24;
const MARGIN = 46;

/** FLOPs and parameters of some operators together, before and after. */
export interface OperatorGroup {
  name: string;
  before: { flops: number; params: number };
  /** Zeros where the best subnet lacks them; null before there is a subnet. */
  after: { flops: number; params: number } | null;
}

/** Sums of operators by `keyOf`, the most expensive before the search first. */
export function grouped(
  operators: readonly ReportOperator[],
  keyOf: (operator: ReportOperator) => string,
): OperatorGroup[] {
  const groups = new Map<string, OperatorGroup>();
  for (const operator of operators) {
    const name = keyOf(operator);
    const group = groups.get(name) ?? { name, before: { flops: 0, params: 0 }, after: null };
    groups.set(name, group);
    group.before.flops += operator.before.flops;
    group.before.params += operator.before.params;
    if (operator.after === null) continue;
    group.after ??= { flops: 0, params: 0 };
    group.after.flops += operator.after.flops;
    group.after.params += operator.after.params;
  }
  return [...groups.values()].sort(
    (a, b) => b.before.flops - a.before.flops || b.before.params - a.before.params,
  );
}

/** One bar for each group: its FLOPs before, and over them those after. */
export function drawOperators(pen: Pen, groups: readonly OperatorGroup[], what: string): Html {
  const { Plot, draw, narrow } = pen;
  const most = Math.max(...groups.map(({ before }) => before.flops), 1);
  const { label, factor } = axisOf("flops", most);
  const names = nameAxis(groups, pen);
  const flops = (value: number): string => formatCost("flops", value);
  const kept = ({ before, after }: OperatorGroup): string =>
    after === null || before.flops === 0
      ? flops(before.flops)
      : after.flops === 0 && after.params === 0
        ? "left out"
        : `${flops(after.flops)} (${formatPercent(after.flops / before.flops)})`;
  const tip = (group: OperatorGroup): string =>
    `${group.name}\nFLOPs: ${flops(group.before.flops)}${group.after === null ? "" : ` → ${flops(group.after.flops)}`}` +
    `\nParameters: ${formatCost("params", group.before.params)}${group.after === null ? "" : ` → ${formatCost("params", group.after.params)}`}`;
  const bar = { y: "name", insetTop: 5, insetBottom: 5, x1: 0 };
  return draw(
    {
      className: "operators",
      width: pen.width,
      height: groups.length * ROW + 2 * MARGIN,
      marginLeft: names.marginLeft,
      marginRight: narrow ? 112 : 150,
      marginTop: 12,
      marginBottom: MARGIN,
      x: {
        domain: [0, most / factor],
        label: `${label} of one input`,
        ...(narrow && { ticks: 3 }),
        labelAnchor: "center",
        labelArrow: "none",
        grid: true,
      },
      y: names.y,
      marks: [
        Plot.barX(groups, {
          ...bar,
          x2: ({ before }: OperatorGroup) => before.flops / factor,
          fill: "var(--before)",
          title: tip,
          className: "before",
        }),
        Plot.barX(
          groups.filter(({ after }) => after !== null),
          {
            ...bar,
            x2: ({ after }: OperatorGroup) => (after?.flops ?? 0) / factor,
            fill: "var(--candidate)",
            title: tip,
            className: "after",
          },
        ),
        Plot.text(groups, {
          x: most / factor,
          y: "name",
          dx: 10,
          text: kept,
          textAnchor: "start",
          fontVariant: "tabular-nums",
        }),
      ],
    },
    `Bar chart of FLOPs by ${what}, before and after: ${groups
      .slice(0, 3)
      .map((group) => `${group.name} ${flops(group.before.flops)}`)
      .join(", ")}.`,
  );
}

import type { ReportData, ReportFormats } from "../data";
import type { Html } from "../html";
import { formatScore } from "../units";
import type { Pen } from "./draw";
import { nameAxis } from "./name-axis";

const ROW = 22;
const MARGIN = 46;

/** A layer and a possible format. */
interface Cell {
  layer: ReportFormats;
  format: string;
  harm: number | null;
  chosen: boolean;
}

/** One row for each layer, one column for each format: the harm of each, and the chosen one. */
export function drawFormats(pen: Pen, { formats }: ReportData): Html {
  const { Plot, draw, narrow } = pen;
  const names = [...new Set(formats.flatMap(({ choices }) => choices.map(({ format }) => format)))];
  const cells = formats.flatMap((layer): Cell[] =>
    layer.choices.map(({ format, harm }) => ({ layer, format, harm, chosen: layer.selected === format })),
  );
  const harms = cells.flatMap(({ harm }) => (harm !== null && harm > 0 ? [harm] : []));
  const [low, high] = [Math.min(...harms), Math.max(...harms)];
  // By magnitude: harms span many of them.
  const shade = ({ harm }: Cell): number =>
    harm === null || harm <= 0 || harms.length === 0
      ? 0.06
      : 0.12 + (0.78 * Math.log(harm / low)) / Math.max(Math.log(high / low), 1e-9);
  const rows = nameAxis(formats, pen);
  const tip = ({ layer, format, harm, chosen }: Cell): string => {
    const bits = layer.choices.find((choice) => choice.format === format)?.bits ?? null;
    return [
      layer.name + (layer.layers.length > 1 ? ` and ${layer.layers.length - 1} more` : ""),
      `${format}${bits === null ? "" : `: ${formatBits(bits)} bits of a weight`}`,
      harm === null ? "harm: not measured" : `harm: ${formatScore(harm)}`,
      ...(chosen ? ["chosen"] : []),
    ].join("\n");
  };
  const y = ({ layer }: Cell): string => layer.name;
  return draw(
    {
      className: "formats",
      width: pen.width,
      height: formats.length * ROW + 2 * MARGIN,
      marginLeft: rows.marginLeft,
      marginRight: narrow ? 8 : 130,
      marginTop: MARGIN,
      marginBottom: 12,
      x: {
        type: "band",
        domain: names,
        label: null,
        axis: "top",
        tickSize: 0,
        ...(narrow && { tickRotate: -35 }),
        padding: 0.06,
      },
      y: { ...rows.y, type: "band", padding: 0.14 },
      opacity: { type: "identity" },
      marks: [
        Plot.cell(cells, {
          x: "format",
          y,
          fill: "var(--bound)",
          fillOpacity: shade,
          title: tip,
          className: "harms",
        }),
        Plot.cell(
          cells.filter(({ chosen }) => chosen),
          { x: "format", y, fill: "none", stroke: "var(--text)", strokeWidth: 2, className: "outlines" },
        ),
        Plot.dot(
          cells.filter(({ chosen }) => chosen),
          {
            x: "format",
            y,
            symbol: "star",
            r: 5.5,
            fill: "var(--best)",
            stroke: "var(--page)",
            title: tip,
            className: "chosen",
          },
        ),
        Plot.text(narrow ? [] : formats, {
          y: "name",
          frameAnchor: "right",
          textAnchor: "start",
          dx: 10,
          text: bitsText,
          fontVariant: "tabular-nums",
        }),
      ],
    },
    `Table of ${formats.length} layers and ${names.length} number formats: the stronger the colour, the more a format harms; the chosen ones are outlined.`,
  );
}

/** Such as "32 → 8 bits". */
export function bitsText(layer: ReportFormats): string {
  const { full, selected } = bitsOf(layer);
  if (selected === null) return "";
  return full === selected || full === null
    ? `${formatBits(selected)} bits`
    : `${formatBits(full)} → ${formatBits(selected)} bits`;
}

/** Bits of a layer's weights before and after; null where not known. */
export function bitsOf({ choices, selected }: ReportFormats): {
  full: number | null;
  selected: number | null;
} {
  return {
    full: choices[0]?.bits ?? null,
    selected: choices.find(({ format }) => format === selected)?.bits ?? null,
  };
}

function formatBits(bits: number): string {
  return String(Math.round(100 * bits) / 100);
}

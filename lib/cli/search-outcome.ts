/** The printed outcome of `torchsearch search`. */

import path from "node:path";
import { violated } from "../contract/constraints";

import { formatCost, isRelative, METRIC_NAMES, titleOf } from "../profile/metrics";
import { formatCount, formatPercent, formatShape } from "../profile/units";
import { formatTable } from "../util/table";
import { commandLine } from "./command-line";
import { formatDuration } from "./search-progress";
import type { SearchOutcome } from "./search-run";

/** The costs before and after, the constraints, the choices, and the files. */
export function formatOutcome(outcome: SearchOutcome): string {
  const { score, accuracy, heldOut, costs, bounds } = outcome;
  const rows = [
    ...ratingRows(score.title, score, accuracy),
    ...(heldOut === null
      ? []
      : ratingRows(`held out: ${score.title}`, heldOut.score, heldOut.accuracy, "held out: ")),
    ...METRIC_NAMES.filter((metric) => costs.before[metric] !== undefined).map((metric) => {
      const before = costs.before[metric] as number;
      const after = costs.after[metric] as number;
      return [
        titleOf(metric),
        formatCost(metric, before),
        formatCost(metric, after),
        formatPercent(after / before),
      ];
    }),
  ];
  const table = formatTable(
    [
      { title: "" },
      { title: "before", align: "right" },
      { title: "after", align: "right" },
      { title: "change", align: "right" },
    ],
    rows,
  );
  const broken = violated(costs.after, bounds);
  const constraints = Object.entries(bounds).map(([metric, bound]) => {
    const full = costs.before[metric] as number;
    const after = costs.after[metric] as number;
    const verdict = broken.includes(metric) ? "NOT met" : "met";
    if (!isRelative(metric)) return `${metric} <= ${bound}: ${formatCost(metric, after)}, ${verdict}\n`;
    return `${metric} <= ${formatPercent(bound / full)} of the full model: ${formatPercent(after / full)}, ${verdict}\n`;
  });
  const inputs = outcome.inputs.map(formatShape).join(", ");
  return [
    table,
    `Costs are for one input of ${inputs}.${heldOut === null ? "" : ` ${heldOut.samples} samples were held out from the search.`}\n`,
    ...constraints,
    "\n",
    chosen(outcome),
    "\n",
    `Took ${formatDuration(outcome.seconds)}. Subnet: ${outcome.output}\n`,
    `Checkpoint: ${outcome.checkpoint}\n`,
    `For a report: ${commandLine(["report", path.relative(process.cwd(), outcome.checkpoint)])}\n`,
  ].join("");
}

/** The choices as a table, or a line when nothing was narrowed. */
function chosen({ hyperparameters = [], densities, formats }: SearchOutcome): string {
  if (densities !== undefined) {
    return formatTable(
      [
        { title: "layer" },
        { title: "kind" },
        { title: "weights", align: "right" },
        { title: "kept", align: "right" },
        { title: "output error", align: "right" },
      ],
      densities.map(({ name, kind, elements, density, error }) => [
        name,
        kind,
        formatCount(elements),
        formatPercent(density),
        error === null ? "" : formatPercent(error),
      ]),
    );
  }
  if (formats !== undefined) {
    return formatTable(
      [{ title: "layers" }, { title: "weights", align: "right" }, { title: "format" }],
      formats.map(({ layers, weights, format }) => [layers.join(", "), formatCount(weights), format]),
    );
  }
  const narrowed = hyperparameters.filter(({ full, selected }) => selected < full);
  if (narrowed.length === 0) return "Nothing was narrowed: the full model meets the constraints.\n";
  return formatTable(
    [
      { title: "narrowed" },
      { title: "kind" },
      { title: "before", align: "right" },
      { title: "after", align: "right" },
    ],
    narrowed.map(({ name, kind, full, selected }) => [name, kind, String(full), String(selected)]),
  );
}

type Change = { before: number; after: number };

function ratingRows(title: string, score: Change, accuracy: Change | null, prefix = ""): string[][] {
  const rows = [
    [title, formatScore(score.before), formatScore(score.after), signed(score.after - score.before)],
  ];
  if (accuracy !== null)
    rows.push([
      `${prefix}accuracy`,
      formatPercent(accuracy.before),
      formatPercent(accuracy.after),
      points(accuracy),
    ]);
  return rows;
}

function formatScore(value: number): string {
  return value.toPrecision(4);
}

function signed(value: number): string {
  return `${value < 0 ? "-" : "+"}${Math.abs(value).toPrecision(3)}`;
}

function points({ before, after }: { before: number; after: number }): string {
  const difference = 100 * (after - before);
  return `${difference < 0 ? "-" : "+"}${Math.abs(difference).toFixed(1)} points`;
}

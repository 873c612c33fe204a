/** The printed outcome of `torchsearch search`. */

import path from "node:path";
import { violated } from "../contract/constraints";

import { formatCost, isRelative, METRIC_NAMES, titleOf } from "../profile/metrics";
import { formatBytes, formatCount, formatMilliseconds, formatPercent, formatShape } from "../profile/units";
import { withoutLeftOut } from "../space/left-out";
import { formatTable } from "../util/table";
import { commandLine } from "./command-line";
import { type Compared, fell } from "./comparison";
import type { ConfirmedLatency } from "./confirmed-search";
import { formatDuration } from "./search-progress";
import type { Change, SearchOutcome } from "./search-types";

/** What is said of files that only simulate a format. */
export const SIMULATED =
  "simulated: the file stays as large, and runs no faster, until a runtime uses the format";

/** The ratings and costs before and after, the constraints, the choices, the files, and the next step. */
export function formatOutcome(outcome: SearchOutcome): string {
  const { score, accuracy, heldOut, costs, bounds, measured, simulated, finetuned } = outcome;
  const shareRow = (
    title: string,
    { before, after }: Change,
    format: (value: number) => string,
  ): string[] => [title, format(before), format(after), formatPercent(after / before)];
  const rows = [
    ...(heldOut === null
      ? []
      : ratingRows(`held out: ${score.title}`, heldOut.score, heldOut.accuracy, "held out: ")),
    ...ratingRows(score.title, score, accuracy),
    ...METRIC_NAMES.filter((metric) => costs.before[metric] !== undefined).map((metric) =>
      shareRow(
        titleOf(metric, simulated),
        { before: costs.before[metric] as number, after: costs.after[metric] as number },
        (value) => formatCost(metric, value),
      ),
    ),
    shareRow("file size", measured.fileBytes, formatBytes),
    shareRow("latency, measured", measured.latency, formatMilliseconds),
  ];
  const table = formatTable(
    [
      { title: "" },
      { title: "before", align: "right" },
      { title: "after", align: "right" },
      { title: "change", align: "right" },
      ...(finetuned === null ? [] : [{ title: "fine-tuned", align: "right" as const }]),
    ],
    rows.map((row) => (finetuned === null ? row.slice(0, 4) : [...row, ""].slice(0, 5))),
  );
  const inputs = outcome.inputs.map(formatShape).join(", ");
  return [
    table,
    `Costs are for one input of ${inputs}.${heldOut === null ? "" : ` ${heldOut.samples} samples were held out from the search.`}\n`,
    simulated ? `${headed(SIMULATED)}.\n` : "",
    ...Object.keys(bounds).map((metric) => boundLines(outcome, metric)),
    "\n",
    chosen(outcome),
    "\n",
    `Took ${formatDuration(outcome.seconds)}. ${simulated ? "Model" : "Subnet"}: ${outcome.output}\n`,
    finetuned === null
      ? ""
      : `Fine-tuned for ${finetuned.epochs} ${finetuned.epochs === 1 ? "epoch" : "epochs"}: ${finetuned.output}\n`,
    `Checkpoint: ${outcome.checkpoint}\n`,
    `For a report: ${commandLine(["report", path.relative(process.cwd(), outcome.checkpoint)])}\n`,
    nextStep(outcome),
  ].join("");
}

/** Whether a bound holds, and why the result stays far below it if it does. */
function boundLines(outcome: SearchOutcome, metric: string): string {
  const { costs, bounds, undershot } = outcome;
  const [bound, full, after] = [bounds[metric], costs.before[metric], costs.after[metric]] as [
    number,
    number,
    number,
  ];
  const verdict = violated(costs.after, bounds).includes(metric) ? "NOT met" : "met";
  const line = isRelative(metric)
    ? `${metric} <= ${formatPercent(bound / full)} of the full model: ${formatPercent(after / full)}, ${verdict}\n`
    : `${metric} <= ${bound}: ${formatCost(metric, after)}, ${verdict}\n`;
  const far = undershot.find((each) => each.metric === metric);
  if (metric === "latency" && outcome.latency !== null) return `${line}${confirmedLine(outcome.latency)}`;
  return far === undefined
    ? line
    : `${line}  That is only ${formatPercent(far.share)} of what the bound allows: ${far.why}.\n`;
}

/** What the table said of the result, and what it takes. */
function confirmedLine({ bound, predicted, measured, met, repeats }: ConfirmedLatency): string {
  const [may, said, is] = [bound, predicted, measured].map((ms) => formatMilliseconds(ms));
  const more =
    repeats === 0 ? "" : `, after ${repeats === 1 ? "one more search" : `${repeats} more searches`}`;
  return `  Measured in turns with the full model: ${is} of ${may}, ${met ? "met" : "NOT met"} (the table said ${said})${more}.\n`;
}

/** The command that wins the lost score back; empty where nothing was lost. */
function nextStep({ next, score, accuracy, heldOut }: SearchOutcome): string {
  if (next === null) return "";
  const rated = [
    { what: "The held-out accuracy", rating: heldOut?.accuracy ?? null, isShare: true },
    { what: "The accuracy", rating: accuracy, isShare: true },
    { what: `The held-out score (${score.title})`, rating: heldOut?.score ?? null, isShare: false },
    { what: `The score (${score.title})`, rating: score, isShare: isAccuracy(score.title) },
  ];
  const worse = rated.find(({ rating }) => rating !== null && fell(rating));
  if (worse === undefined || worse.rating === null) return "";
  const { what, rating, isShare } = worse;
  const by = isShare ? points(rating) : signed(rating.after - rating.before);
  const noise = noiseOf(rating, isShare);
  const more = noise === "" ? "" : `, more than its noise (${noise})`;
  return `\n${what} fell: ${by}${more}. Training usually brings most of it back:\n  ${commandLine(next)}\n`;
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
  const narrowed = withoutLeftOut(hyperparameters).filter(({ full, selected }) => selected < full);
  if (narrowed.length === 0) return "Nothing was narrowed: the full model meets the constraints.\n";
  return formatTable(
    [
      { title: "narrowed" },
      { title: "kind" },
      { title: "before", align: "right" },
      { title: "after", align: "right" },
    ],
    narrowed.map(({ name, kind, full, selected }) => [
      name,
      kind,
      String(full),
      kind === "depth" ? "left out" : String(selected),
    ]),
  );
}

function ratingRows(title: string, score: Compared, accuracy: Compared | null, prefix = ""): string[][] {
  const rows = [isAccuracy(title) ? accuracyRow(title, score) : scoreRow(title, score)];
  if (accuracy !== null) rows.push(accuracyRow(`${prefix}accuracy`, accuracy));
  return rows;
}

function isAccuracy(title: string): boolean {
  return title.endsWith("accuracy");
}

function scoreRow(title: string, rated: Compared): string[] {
  const { before, after, finetuned } = rated;
  const change = signed(after - before) + inBrackets(noiseOf(rated, false));
  return [title, formatScore(before), formatScore(after), change, ...shown(finetuned, formatScore)];
}

function accuracyRow(title: string, rated: Compared): string[] {
  const { before, after, finetuned } = rated;
  const change = points(rated) + inBrackets(noiseOf(rated, true));
  return [title, formatPercent(before), formatPercent(after), change, ...shown(finetuned, formatPercent)];
}

function shown(value: number | undefined, format: (value: number) => string): string[] {
  return value === undefined ? [] : [format(value)];
}

function inBrackets(text: string): string {
  return text === "" ? "" : ` (${text})`;
}

/** The noise of a difference, such as "± 0.4"; of an accuracy in points. */
function noiseOf({ noise }: Compared, isShare: boolean): string {
  if (noise === null) return "";
  return `± ${isShare ? (100 * noise).toPrecision(2) : noise.toPrecision(2)}`;
}

function formatScore(value: number): string {
  return value.toPrecision(4);
}

function signed(value: number): string {
  return `${value < 0 ? "-" : "+"}${Math.abs(value).toPrecision(3)}`;
}

function points({ before, after }: Change): string {
  const difference = 100 * (after - before);
  return `${difference < 0 ? "-" : "+"}${Math.abs(difference).toFixed(1)} points`;
}

function headed(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

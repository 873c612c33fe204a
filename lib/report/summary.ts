/** The report's beginning: the verdict, what to do next, the numbers that count, and all costs. */
import { violated } from "../contract/constraints";
import { formatCost, headingOf, METRIC_NAMES, titleOf } from "../profile/metrics";
import { formatMilliseconds, formatPercent, formatShape } from "../profile/units";
import type { ReportData } from "./data";
import { commandBlock, type Html, html, table } from "./html";
import { formatScore } from "./units";
import { keptText, measuredRows, verdictOf } from "./verdict";

/** Said where a file only simulates a format. */
const SIMULATED = "Simulated: the file stays as large, and runs no faster, until a runtime uses the format.";

/** @param printedNext the command that trains the result; null where nothing was lost */
export function header(data: ReportData, printedNext: string | null): Html {
  const verdict = verdictOf(data);
  const whatNext = next(data, printedNext);
  return html`<h1>Search report: ${data.model}</h1>
${unfinished(data)}
${verdict === null ? null : html`<p class="verdict">${verdict.charAt(0).toUpperCase()}${verdict.slice(1)}${whatNext === null ? "." : `; next: ${whatNext}`}</p>`}
${printedNext === null || verdict === null ? null : commandBlock(printedNext)}
${data.best === null ? null : outcome(data)}`;
}

function next({ finished, finetuned, best }: ReportData, printed: string | null): string | null {
  if (best === null) return null;
  if (!finished) return "continue the search with torchsearch resume.";
  if (finetuned !== null) return `use the fine-tuned model ${finetuned.output.split(/[\\/]/).at(-1)}.`;
  return printed === null ? null : "train the subnet, which usually brings back what was lost:";
}

/** How far a search is that isn't finished; null for one that is. */
function unfinished(data: ReportData): Html | null {
  if (data.finished && data.best !== null) return null;
  const done = data.densities.filter(({ density }) => density !== null).length;
  const { progress } = data;
  const state =
    data.densities.length > 0
      ? `${done} of ${data.densities.length} layers are sparse so far`
      : progress !== null && progress.total !== null && progress.done < progress.total
        ? `unfinished: ${counted(progress.done)} of ${counted(progress.total)} ${progress.what}`
        : `${counted(data.measurements.length)} measurements so far`;
  const without =
    data.best === null && data.densities.length === 0 ? ", and no subnet that meets the constraints yet" : "";
  const { full } = data;
  const accuracy =
    data.best !== null || full.accuracy === null
      ? ""
      : ` The full model's accuracy is ${formatPercent(full.accuracy)}.`;
  return html`<p class="unfinished">The search is not finished: ${state}${without}.${accuracy}</p>`;
}

/** 1557 -> "1,557". */
function counted(count: number): string {
  return count.toLocaleString("en-US");
}

function outcome(data: ReportData): Html {
  const { full, bounds, simulated, heldOut } = data;
  const best = data.best as NonNullable<ReportData["best"]>;
  const tile = (name: string, value: string, from: string | null): Html =>
    html`<li><span class="name">${name}</span><span class="value">${value}</span>${from === null ? null : html`<span class="from">from ${from}</span>`}</li>`;
  const costly = METRIC_NAMES.filter((metric) => full.costs[metric] !== undefined && metric !== "macs");
  // What was bounded first.
  const metrics = [
    ...costly.filter((metric) => metric in bounds),
    ...costly.filter((metric) => !(metric in bounds)),
  ];
  const shares = Object.keys(bounds).map(
    (metric) =>
      `${keptText(full.costs[metric] as number, best.costs[metric] as number)} of the ${titleOf(metric, simulated)}`,
  );
  const accuracy =
    best.accuracy === null || full.accuracy === null
      ? null
      : tile("Accuracy", formatPercent(best.accuracy), formatPercent(full.accuracy));
  const held =
    heldOut === null
      ? null
      : tile(
          `Held out: ${heldOut.accuracy === null ? data.scoreTitle : "accuracy"}`,
          heldOut.accuracy === null
            ? formatScore(heldOut.score.after)
            : formatPercent(heldOut.accuracy.after),
          heldOut.accuracy === null
            ? formatScore(heldOut.score.before)
            : formatPercent(heldOut.accuracy.before),
        );
  const { score } = best;
  const from = full.score === null ? null : formatScore(full.score);
  const to = score === null ? null : formatScore(score);
  const goes =
    to === null
      ? ""
      : from === null
        ? `, and its score is ${to}`
        : `, and its score goes from ${from} to ${to}`;
  const keeps =
    data.densities.length > 0
      ? `The sparse model keeps ${formatPercent(best.costs.density as number)} of the weights of ${data.densities.length} layers (pattern ${data.pattern})`
      : `The best subnet keeps ${shares.length > 0 ? shares.join(" and ") : "everything"}`;
  const rated =
    to === null
      ? null
      : heldOut === null
        ? data.densities.length > 0
          ? null
          : html`<p class="muted">Scores are measured on the samples that the search optimized.</p>`
        : html`<p class="muted">Held out: ${heldOut.samples} samples that the search did not use. Other scores are measured on the samples that it optimized.</p>`;
  const far = data.undershot.map(
    ({ metric, share, why }) =>
      html`<p class="muted">Only ${formatPercent(share)} of what the bound on ${titleOf(metric, simulated)} allows is used: ${why}.</p>`,
  );
  const { latency } = data;
  const timed =
    latency === null
      ? null
      : html`<p class="muted">Measured in turns with the full model, it takes ${formatMilliseconds(latency.measured)} of the ${formatMilliseconds(latency.bound)} that the bound on latency allows${latency.met ? "" : ", so the bound is not met"}; the table said ${formatMilliseconds(latency.predicted)}.</p>`;
  return html`<p class="lead">${keeps}${goes}.</p>
${simulated ? html`<p class="lead">${SIMULATED}</p>` : null}
<ul class="tiles">
${held}
${accuracy}
${measuredRows(data).map(({ name, metric, before, after }) => tile(name, formatCost(metric, after), formatCost(metric, before)))}
${to === null ? null : tile(data.scoreTitle, to, from)}
${metrics.map((metric) => tile(headingOf(metric, simulated), formatCost(metric, best.costs[metric] as number), formatCost(metric, full.costs[metric] as number)))}
</ul>
${rated}
${timed}
${far}`;
}

/** The table of all costs. */
export function costs(data: ReportData): Html {
  const { best, full, bounds, simulated } = data;
  const broken = violated(best?.costs ?? {}, bounds);
  const rows = METRIC_NAMES.filter((metric) => full.costs[metric] !== undefined).map((metric) => {
    const before = full.costs[metric] as number;
    const after = best?.costs[metric];
    const bound = bounds[metric];
    return [
      headingOf(metric, simulated),
      formatCost(metric, before),
      after === undefined ? "–" : formatCost(metric, after),
      after === undefined ? "–" : formatPercent(after / before),
      bound === undefined ? "–" : `${formatCost(metric, bound)} (${formatPercent(bound / before)})`,
      bound === undefined || after === undefined ? "–" : broken.includes(metric) ? "not met" : "met",
    ];
  });
  const measured = measuredRows(data).map(({ name, metric, before, after }) => [
    name,
    formatCost(metric, before),
    formatCost(metric, after),
    keptText(before, after),
    "–",
    "–",
  ]);
  const inputs = data.inputs === null ? "" : `, of an input of ${data.inputs.map(formatShape).join(", ")}`;
  return html`<h2>Costs</h2>
<div class="scroll">${table(
    `Before and after${inputs}`,
    ["", "Full model", "Best subnet", "Kept", "At most", "Constraint"],
    [...rows, ...measured],
    new Set([1, 2, 3, 4]),
  )}</div>`;
}

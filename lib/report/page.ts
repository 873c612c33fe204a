/** The report's page and its sections. */
import { violated } from "../contract/constraints";
import { formatCost, headingOf, METRIC_NAMES, titleOf } from "../profile/metrics";
import { formatPercent, formatShape } from "../profile/units";
import { drawDensities } from "./charts/densities";
import type { Pen } from "./charts/draw";
import { bitsOf, drawFormats } from "./charts/formats";
import { drawHistory, drawnHistory } from "./charts/history";
import { drawOperators, grouped, type OperatorGroup } from "./charts/operators";
import { drawnOf, drawPlane, frontOf, pointsOf } from "./charts/plane";
import { lowestShown } from "./charts/reach";
import { drawSensitivities } from "./charts/sensitivity";
import { drawWidths } from "./charts/widths";
import type { ReportData } from "./data";
import { type Html, html, Html as Raw, table } from "./html";
import { SCRIPT, STYLE } from "./style";
import { formatScore, formatSeconds } from "./units";

/** Rows that a table of candidates shows at most. */
const MOST_ROWS = 200;
/** Layers that are drawn. */
const TOP_LAYERS = 15;

/** The whole page. Nothing in it refers to another file. */
export function page(data: ReportData, pen: Pen, printedCommand: string | null): Html {
  const bounded = Object.keys(data.bounds).filter((metric) => data.full.costs[metric] !== undefined);
  const planes = bounded.length > 0 ? bounded : ["flops"];
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Search report: ${data.model}</title>
<style>${new Raw(STYLE)}</style>
</head>
<body>
<main>
${header(data)}
${costs(data)}
${planes.map((metric) => plane(data, pen, metric))}
${widths(data, pen)}
${formats(data, pen)}
${densities(data, pen)}
${operators(data, pen)}
${sensitivity(data, pen)}
${history(data, pen)}
${reproduce(data, printedCommand)}
<footer>Made by torchsearch from ${data.source}.</footer>
</main>
<div id="tip" role="tooltip" hidden></div>
<script>${new Raw(SCRIPT)}</script>
</body>
</html>
`;
}

function header(data: ReportData): Html {
  const { best, full, bounds } = data;
  if (best === null) {
    const done = data.densities.filter(({ density }) => density !== null).length;
    const progress =
      data.densities.length > 0
        ? `${done} of ${data.densities.length} layers are sparse so far`
        : `${data.measurements.length} measurements so far, and no subnet that meets the constraints yet`;
    return html`<h1>Search report: ${data.model}</h1>
<p class="lead">The search is not finished: ${progress}.</p>`;
  }
  const tile = (name: string, value: string, from: string | null): Html =>
    html`<li><span class="name">${name}</span><span class="value">${value}</span>${from === null ? null : html`<span class="from">from ${from}</span>`}</li>`;
  const metrics = METRIC_NAMES.filter((metric) => full.costs[metric] !== undefined && metric !== "macs");
  const shares = Object.keys(bounds).map((metric) => share(data, metric));
  const accuracy =
    best.accuracy === null || full.accuracy === null
      ? null
      : tile("Accuracy", formatPercent(best.accuracy), formatPercent(full.accuracy));
  const { heldOut } = data;
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
  const outcome =
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
  return html`<h1>Search report: ${data.model}</h1>
<p class="lead">${keeps}${outcome}.</p>
<ul class="tiles">
${to === null ? null : tile(data.scoreTitle, to, from)}
${accuracy}
${held}
${metrics.map((metric) => tile(headingOf(metric), formatCost(metric, best.costs[metric] as number), formatCost(metric, full.costs[metric] as number)))}
</ul>
${rated}`;
}

function share({ best, full }: ReportData, metric: string): string {
  return `${formatPercent((best?.costs[metric] as number) / (full.costs[metric] as number))} of the ${titleOf(metric)}`;
}

function costs(data: ReportData): Html {
  const { best, full, bounds } = data;
  const broken = violated(best?.costs ?? {}, bounds);
  const rows = METRIC_NAMES.filter((metric) => full.costs[metric] !== undefined).map((metric) => {
    const before = full.costs[metric] as number;
    const after = best?.costs[metric];
    const bound = bounds[metric];
    return [
      headingOf(metric),
      formatCost(metric, before),
      after === undefined ? "–" : formatCost(metric, after),
      after === undefined ? "–" : formatPercent(after / before),
      bound === undefined ? "–" : `${formatCost(metric, bound)} (${formatPercent(bound / before)})`,
      bound === undefined || after === undefined ? "–" : broken.includes(metric) ? "not met" : "met",
    ];
  });
  const inputs = data.inputs === null ? "" : `, of an input of ${data.inputs.map(formatShape).join(", ")}`;
  return html`<h2>Costs</h2>
<div class="scroll">${table(
    `Before and after${inputs}`,
    ["", "Full model", "Best subnet", "Kept", "At most", "Constraint"],
    rows,
    new Set([1, 2, 3, 4]),
  )}</div>`;
}

function plane(data: ReportData, pen: Pen, metric: string): Html | null {
  const points = pointsOf(data, metric);
  if (points.length === 0) return null;
  const front = new Set<object>(frontOf(points));
  const narrowings = points.some(({ kind }) => kind === "narrowing");
  const rows = [...points]
    .sort((a, b) => Number(front.has(b)) - Number(front.has(a)) || b.score - a.score)
    .slice(0, MOST_ROWS)
    .map((point) => [
      point.label,
      formatCost(metric, point.cost),
      formatScore(point.score),
      front.has(point) ? "yes" : "",
      point.fits ? "yes" : "no",
    ]);
  return html`<section>
<h2>Score and ${titleOf(metric)}</h2>
<ul class="legend">
<li><i style="background:var(--best)"></i>best subnet</li>
<li><i class="square" style="background:var(--text)"></i>full model</li>
<li><i style="background:var(--candidate)"></i>candidate</li>
${narrowings ? html`<li><i style="background:var(--quiet)"></i>one width narrowed alone</li>` : null}
<li><i class="dash" style="background:var(--front)"></i>front: no measured subnet is both cheaper and better</li>
${data.bounds[metric] === undefined ? null : html`<li><i class="dash" style="background:var(--bound)"></i>constraint</li>`}
${below(data, points)}
${beneath(drawnOf(data, metric), points)}
</ul>
<figure class="chart" data-metric="${metric}" data-points="${points.length}">${drawPlane(pen, data, metric)}</figure>
<details><summary>As a table${points.length > MOST_ROWS ? ` (${MOST_ROWS} of ${points.length})` : ""}</summary>
<div class="scroll">${table(`Measured subnets by ${titleOf(metric)}, the front first`, ["Subnet", headingOf(metric), data.scoreTitle, "On the front", "Meets constraints"], rows, new Set([1, 2]))}</div></details>
</section>`;
}

/** A legend's entry for scores that are too low to be shown in place. */
function below(data: ReportData, points: readonly { score: number }[]): Html | null {
  const low = lowestShown(data);
  const count = points.filter(({ score }) => score < low).length;
  return count === 0 ? null : html`<li>▴ ${count} worse than the scale shows</li>`;
}

/** A legend's entry for dots that are not drawn because others cover them. */
function beneath(drawn: readonly unknown[], points: readonly unknown[]): Html | null {
  return drawn.length === points.length
    ? null
    : html`<li>${drawn.length} of ${points.length} are drawn: these cover the others</li>`;
}

function widths(data: ReportData, pen: Pen): Html | null {
  if (data.best === null || data.widths.length === 0) return null;
  const narrowed = data.widths.filter(({ selected, full }) => selected !== null && selected < full).length;
  const rows = data.widths.map(({ name, kind, full, selected }) => [
    name,
    kind,
    full,
    selected ?? "–",
    selected === null ? "–" : formatPercent(selected / full),
  ]);
  return html`<section>
<h2>Widths</h2>
<p>${narrowed} of ${data.widths.length} hyperparameters are narrowed. They are in the order of execution:</p>
<figure class="chart">${drawWidths(pen, data)}</figure>
<details><summary>As a table</summary>
<div class="scroll">${table("Widths before and after", ["Hyperparameter", "Kind", "Full", "Best subnet", "Kept"], rows, new Set([2, 3, 4]))}</div></details>
</section>`;
}

function formats(data: ReportData, pen: Pen): Html | null {
  if (data.formats.length === 0) return null;
  const { milp } = data;
  const rows = data.formats.map((layer) => {
    const { full, selected } = bitsOf(layer);
    const harm = layer.choices.find(({ format }) => format === layer.selected)?.harm ?? null;
    return [
      layer.layers.join(", "),
      layer.selected ?? "–",
      full ?? "–",
      selected ?? "–",
      harm === null ? "–" : formatScore(harm),
    ];
  });
  return html`<section>
<h2>Number formats</h2>
<p>The harm of each format in each layer alone: a stronger colour means more harm; <span style="color:var(--best)">★</span> marks the chosen one. Layers are in the order of execution:</p>
${solved(milp)}
<figure class="chart">${drawFormats(pen, data)}</figure>
<details><summary>As a table</summary>
<div class="scroll">${table("Formats of layers", ["Layers", "Format", "Bits, full", "Bits, chosen", "Harm"], rows, new Set([2, 3, 4]))}</div></details>
</section>`;
}

function densities(data: ReportData, pen: Pen): Html | null {
  const done = data.densities.filter(({ density }) => density !== null);
  if (done.length === 0) return null;
  const rows = data.densities.map(({ name, kind, elements, density, error }) => [
    name,
    kind,
    elements,
    density === null ? "–" : formatPercent(density),
    error === null ? "–" : formatPercent(error),
  ]);
  const off = done.some(({ error }) => error !== null)
    ? ", and the squared error of its outputs, as a share of their squares, on the data of the search"
    : "";
  return html`<section>
<h2>Sparsity</h2>
<p>The share of its weights that each layer keeps${off}. Layers are in the order of execution:</p>
<figure class="chart">${drawDensities(pen, data)}</figure>
<details><summary>As a table</summary>
<div class="scroll">${table("Weights of layers", ["Layer", "Kind", "Weights", "Kept", "Output error"], rows, new Set([2, 3, 4]))}</div></details>
</section>`;
}

function solved(milp: ReportData["milp"]): Html | null {
  return milp === null
    ? null
    : html`<p>Integer programming found the smallest sum of these harms within the constraints: ${formatScore(milp.objective)}${milp.gap === 0 ? "; it is proven to be the smallest" : `; no choice can have less than ${formatScore(milp.bound)}`}.</p>`;
}

function operators(data: ReportData, pen: Pen): Html | null {
  if (data.operators.length === 0) return null;
  const kinds = grouped(data.operators, ({ op }) => kindOf(op));
  const layers = grouped(data.operators, ({ name, op }) => name || kindOf(op));
  const busy = (groups: readonly OperatorGroup[]) => groups.filter(({ before }) => before.flops > 0);
  const top = busy(layers).slice(0, TOP_LAYERS);
  const rows = (groups: readonly OperatorGroup[]) =>
    groups.map(({ name, before, after }) => [
      name,
      formatCost("flops", before.flops),
      after === null ? "–" : formatCost("flops", after.flops),
      formatCost("params", before.params),
      after === null ? "–" : formatCost("params", after.params),
    ]);
  const head = ["FLOPs, full", "FLOPs, best", "Parameters, full", "Parameters, best"];
  const numeric = new Set([1, 2, 3, 4]);
  const shown = layers.slice(0, MOST_ROWS);
  return html`<section>
<h2>Cost by operator</h2>
<ul class="legend">
<li><i class="square" style="background:var(--before)"></i>full model</li>
<li><i class="square" style="background:var(--candidate)"></i>best subnet</li>
</ul>
<figure class="chart">${drawOperators(pen, busy(kinds), "kind of operator")}</figure>
<h3>${top.length < busy(layers).length ? `The ${top.length} most expensive of ${busy(layers).length} layers` : "Layers"}</h3>
<figure class="chart">${drawOperators(pen, top, "layer")}</figure>
<details><summary>As tables</summary>
<div class="scroll">${table("Cost by kind of operator", ["Operator", ...head], rows(kinds), numeric)}</div>
<div class="scroll">${table(`Cost by layer, the most expensive first${shown.length < layers.length ? ` (${shown.length} of ${layers.length})` : ""}`, ["Layer", ...head], rows(shown), numeric)}</div></details>
</section>`;
}

/** An operator's name without PyTorch's prefix. */
function kindOf(op: string): string {
  return op.replace(/^aten::_?/, "");
}

function sensitivity(data: ReportData, pen: Pen): Html | null {
  if (data.sensitivity.length === 0) return null;
  const { milp } = data;
  return html`<section>
<h2>Sensitivity</h2>
<p>The fall of the score when one width alone is narrowed, all on the same scale; <span style="color:var(--best)">★</span> marks the width of the best subnet.</p>
${solved(milp)}
<div class="grid">${drawSensitivities(pen, data)}</div>
</section>`;
}

function history(data: ReportData, pen: Pen): Html | null {
  if (data.measurements.length === 0) return null;
  return html`<section>
<h2>History</h2>
<ul class="legend">
<li><i class="dash" style="background:var(--best)"></i>best so far within the constraints</li>
<li><i style="background:var(--candidate)"></i>meets the constraints</li>
<li><i style="background:var(--quiet)"></i>exceeds a constraint</li>
${below(data, data.measurements)}
${beneath(drawnHistory(data), data.measurements)}
</ul>
${data.stopped === 0 ? null : html`<p class="muted">${data.stopped} more candidates were stopped early, before their score was known.</p>`}
<figure class="chart" data-measurements="${data.measurements.length}">${drawHistory(pen, data)}</figure>
</section>`;
}

function reproduce(data: ReportData, printedCommand: string | null): Html {
  const { versions } = data;
  const facts: [string, string | null | undefined][] = [
    ["Searcher", data.searcher],
    ["torchsearch", versions.torchsearch],
    ["LibTorch", versions.libtorch],
    ["Node", versions.node],
    ["Platform", versions.platform],
    ["CPU", versions.cpu],
    ["Device", versions.device],
    ["Duration", data.seconds === null ? null : formatSeconds(data.seconds)],
    ["Folder", data.folder],
    ["Fingerprint", data.fingerprint],
    [
      "Settings",
      Object.entries(data.settings)
        .map(([key, value]) => `${key}: ${value}`)
        .join("; "),
    ],
  ];
  const rows = facts.filter((fact): fact is [string, string] => Boolean(fact[1]));
  return html`<section>
<h2>To reproduce</h2>
${printedCommand === null ? html`<p>A program ran this search, not the command.</p>` : html`<pre>${printedCommand}</pre>`}
<div class="scroll facts">${table("Versions and settings", ["", ""], rows, new Set())}</div>
</section>`;
}

/** The report's page and its sections. */
import { formatCost, headingOf, titleOf } from "../profile/metrics";
import { formatPercent } from "../profile/units";
import { withoutLeftOut } from "../space/left-out";
import { drawDensities } from "./charts/densities";
import type { Pen } from "./charts/draw";
import { bitsOf, drawFormats } from "./charts/formats";
import { drawHistory, drawnHistory } from "./charts/history";
import { drawOperators, grouped, type OperatorGroup } from "./charts/operators";
import { drawnOf, drawPlane, frontOf, pointsOf } from "./charts/plane";
import { highestCost, lowestShown } from "./charts/reach";
import { drawSensitivities } from "./charts/sensitivity";
import { drawWidths } from "./charts/widths";
import type { ReportData } from "./data";
import { commandBlock, type Html, html, Html as Raw, table } from "./html";
import { SCRIPT, STYLE } from "./style";
import { costs, header } from "./summary";
import { formatScore, formatSeconds } from "./units";

/** Rows that a table of candidates shows at most. */
const MOST_ROWS = 200;
/** Layers that are drawn. */
const TOP_LAYERS = 15;

/** The pens for wide and for narrow screens. */
export interface Pens {
  wide: Pen;
  narrow: Pen;
}

/** A chart in the two forms of which a screen shows one. */
function chart(pens: Pens, draw: (pen: Pen) => Html): Html {
  return html`<div class="wide">${draw(pens.wide)}</div><div class="narrow">${draw(pens.narrow)}</div>`;
}

/** Commands, ready to paste into a shell. */
export interface PrintedCommands {
  /** The one that searched; null when a program searched. */
  command: string | null;
  /** The one that trains the result; null where nothing was lost. */
  next: string | null;
}

/** The whole page. Nothing in it refers to another file. */
export function page(data: ReportData, pens: Pens, { command, next }: PrintedCommands): Html {
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
${header(data, next)}
${costs(data)}
${planes.map((metric) => plane(data, pens, metric))}
${widths(data, pens)}
${formats(data, pens)}
${densities(data, pens)}
${operators(data, pens)}
${sensitivity(data, pens)}
${history(data, pens)}
${reproduce(data, command)}
<footer>Made by torchsearch from ${data.source}.</footer>
</main>
<div id="tip" role="tooltip" hidden></div>
<script>${new Raw(SCRIPT)}</script>
</body>
</html>
`;
}

function plane(data: ReportData, pens: Pens, metric: string): Html | null {
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
<li><i style="background:var(--candidate)"></i>candidate: a subnet that the search tried as a whole</li>
${narrowings ? html`<li><i style="background:var(--quiet)"></i>one width narrowed alone</li>` : null}
<li><i class="ring" style="border-color:var(--front)"></i>front: subnets of which no measured one is both cheaper and better</li>
${data.bounds[metric] === undefined ? null : html`<li><i class="dash" style="background:var(--bound)"></i>constraint</li>`}
${beyond(data, metric)}
${below(data, points)}
${beneath(drawnOf(data, metric), points)}
</ul>
<figure class="chart" data-metric="${metric}" data-points="${points.length}">${chart(pens, (pen) => drawPlane(pen, data, metric))}</figure>
<details><summary>As a table${points.length > MOST_ROWS ? ` (${MOST_ROWS} of ${points.length})` : ""}</summary>
<div class="scroll">${table(`Measured subnets by ${titleOf(metric)}, the front first`, ["Subnet", headingOf(metric), data.scoreTitle, "On the front", "Meets constraints"], rows, new Set([1, 2]))}</div></details>
</section>`;
}

/** A legend's entry for what costs more than the candidates, and is drawn at the edge; null where nothing does. */
function beyond(data: ReportData, metric: string): Html | null {
  const most = highestCost(data, metric);
  const count = pointsOf(data, metric).filter(({ cost }) => cost > most).length;
  const full = data.full.costs[metric] as number;
  return full <= most
    ? null
    : html`<li>At the right edge: the full model, ${formatCost(metric, full)}${count === 0 ? "" : `, and ◆ ${count} that cost more than the scale shows`}</li>`;
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

function widths(data: ReportData, pens: Pens): Html | null {
  if (data.best === null || data.widths.length === 0) return null;
  // Inside a block that is left out, widths have no effect.
  const there = withoutLeftOut(data.widths);
  const narrowed = there.filter(({ selected, full }) => selected !== null && selected < full).length;
  const rows = there.map(({ name, kind, full, selected }) => [
    name,
    kind,
    full,
    selected ?? "–",
    selected === null ? "–" : formatPercent(selected / full),
  ]);
  return html`<section>
<h2>Widths</h2>
<p>${narrowed} of ${there.length} hyperparameters are narrowed. They are in the order of execution:</p>
<figure class="chart">${chart(pens, (pen) => drawWidths(pen, data))}</figure>
<details><summary>As a table</summary>
<div class="scroll">${table("Widths before and after", ["Hyperparameter", "Kind", "Full", "Best subnet", "Kept"], rows, new Set([2, 3, 4]))}</div></details>
</section>`;
}

function formats(data: ReportData, pens: Pens): Html | null {
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
<figure class="chart">${chart(pens, (pen) => drawFormats(pen, data))}</figure>
<details><summary>As a table</summary>
<div class="scroll">${table("Formats of layers", ["Layers", "Format", "Bits, full", "Bits, chosen", "Harm"], rows, new Set([2, 3, 4]))}</div></details>
</section>`;
}

function densities(data: ReportData, pens: Pens): Html | null {
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
<figure class="chart">${chart(pens, (pen) => drawDensities(pen, data))}</figure>
<details><summary>As a table</summary>
<div class="scroll">${table("Weights of layers", ["Layer", "Kind", "Weights", "Kept", "Output error"], rows, new Set([2, 3, 4]))}</div></details>
</section>`;
}

function solved(milp: ReportData["milp"]): Html | null {
  return milp === null
    ? null
    : html`<p>Integer programming found the smallest sum of these harms within the constraints: ${formatScore(milp.objective)}${milp.gap === 0 ? "; it is proven to be the smallest" : `; no choice can have less than ${formatScore(milp.bound)}`}.</p>`;
}

function operators(data: ReportData, pens: Pens): Html | null {
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
<figure class="chart">${chart(pens, (pen) => drawOperators(pen, busy(kinds), "kind of operator"))}</figure>
<h3>${top.length < busy(layers).length ? `The ${top.length} most expensive of ${busy(layers).length} layers` : "Layers"}</h3>
<figure class="chart">${chart(pens, (pen) => drawOperators(pen, top, "layer"))}</figure>
<details><summary>As tables</summary>
<div class="scroll">${table("Cost by kind of operator", ["Operator", ...head], rows(kinds), numeric)}</div>
<div class="scroll">${table(`Cost by layer, the most expensive first${shown.length < layers.length ? ` (${shown.length} of ${layers.length})` : ""}`, ["Layer", ...head], rows(shown), numeric)}</div></details>
</section>`;
}

/** An operator's name without PyTorch's prefix. */
function kindOf(op: string): string {
  return op.replace(/^aten::_?/, "");
}

function sensitivity(data: ReportData, pens: Pens): Html | null {
  if (data.sensitivity.length === 0) return null;
  const { milp } = data;
  return html`<section>
<h2>Sensitivity</h2>
<p>The fall of the score when one width alone is narrowed, all on the same scale; <span style="color:var(--best)">★</span> marks the width of the best subnet.</p>
${solved(milp)}
<div class="grid">${drawSensitivities(pens.wide, data)}</div>
</section>`;
}

function history(data: ReportData, pens: Pens): Html | null {
  if (data.measurements.length === 0) return null;
  return html`<section>
<h2>History</h2>
<ul class="legend">
<li><i class="dash" style="background:var(--best)"></i>best so far within the constraints</li>
<li><i style="background:var(--candidate)"></i>meets the constraints</li>
<li><i style="background:var(--quiet)"></i>exceeds a constraint</li>
${below(data, data.measurements)}
${beneath(drawnHistory(data, pens.wide), data.measurements)}
</ul>
${data.stopped === 0 ? null : html`<p class="muted">${data.stopped} more candidates were stopped early, before their score was known.</p>`}
<figure class="chart" data-measurements="${data.measurements.length}">${chart(pens, (pen) => drawHistory(pen, data))}</figure>
</section>`;
}

function reproduce(data: ReportData, printedCommand: string | null): Html {
  const { versions } = data;
  const facts: [string, string | null | undefined][] = [
    ["Date", data.date === null ? null : `${data.date.slice(0, 16).replace("T", " ")} UTC`],
    ["Searcher", data.searcher],
    ["torchsearch", versions.torchsearch],
    ["LibTorch", versions.libtorch],
    ["Node", versions.node],
    ["Platform", versions.platform],
    ["CPU", versions.cpu],
    ["Device", versions.device],
    ["Duration", data.seconds === null ? null : formatSeconds(data.seconds)],
    ["Folder, seen from the checkpoint", data.folder],
    [
      "Data (SHA-256 of their content)",
      data.dataDigests.map(({ file, digest }) => `${file}: ${digest}`).join("; "),
    ],
    ["Fingerprint", data.fingerprint],
    [
      "Settings",
      Object.entries(data.settings)
        .filter(([key]) => key !== "checkpoint")
        .map(([key, value]) => `${key}: ${value}`)
        .join("; "),
    ],
  ];
  const rows = facts.filter((fact): fact is [string, string] => Boolean(fact[1]));
  return html`<section>
<h2>To reproduce</h2>
${printedCommand === null ? html`<p>A program ran this search, not the command.</p>` : commandBlock(printedCommand)}
<div class="scroll facts">${table("Versions and settings", ["", ""], rows, new Set())}</div>
</section>`;
}

/** The outcome in a sentence, for people who never saw a search. */
import { headingOf, titleOf } from "../profile/metrics";
import { formatPercent } from "../profile/units";
import type { ReportData, ReportRating } from "./data";
import { formatScore } from "./units";

/** What a metric counts, after "fewer" or "less". */
const COUNTED: Readonly<Record<string, string>> = {
  flops: "fewer operations",
  macs: "fewer operations",
  params: "fewer parameters",
  size: "fewer bytes of weights",
  memory: "less memory",
  latency: "less time by the latency table",
  effectiveBits: "fewer bits for each weight",
  density: "fewer weights",
};

/** Such as "41 % fewer operations, 28 % less time, 0.6 points of accuracy lost"; null before there is a subnet. */
export function verdictOf(data: ReportData): string | null {
  const { best, full } = data;
  if (best === null) return null;
  const metric = mainMetric(data);
  const saved =
    metric === null
      ? null
      : savedText(
          (best.costs[metric] as number) / (full.costs[metric] as number),
          COUNTED[metric] ?? `less ${titleOf(metric)}`,
        );
  const { measured, simulated } = data;
  const stored = simulated ? " once a runtime uses the format" : "";
  const time =
    measured === null || simulated
      ? null
      : savedText(measured.latency.after / measured.latency.before, "time measured");
  return [saved === null ? null : saved + stored, time, ratedText(data)]
    .filter((part) => part !== null)
    .join(", ");
}

/** The metric that was bounded, or the one that says most. */
function mainMetric({ bounds, full, best }: ReportData): string | null {
  const order = [...Object.keys(bounds), "effectiveBits", "density", "flops", "params", "size"];
  return order.find((name) => full.costs[name] !== undefined && best?.costs[name] !== undefined) ?? null;
}

function savedText(share: number, what: string): string {
  const change = Math.abs(1 - share);
  if (what === "time measured") return `${rounded(change)} ${share <= 1 ? "less" : "more"} time`;
  return share <= 1
    ? `${rounded(change)} ${what}`
    : `${rounded(change)} ${what.replace(/^(fewer|less)/, "more")}`;
}

function rounded(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

/** The change of the rating that counts most: of an accuracy before a score, and held out before the rest. */
function ratedText(data: ReportData): string | null {
  const { heldOut, full, best, noise } = data;
  const accuracy = ratingOf(full.accuracy, best?.accuracy ?? null, noise.accuracy);
  const byAccuracy = /accuracy$/.test(data.scoreTitle);
  const score = ratingOf(full.score, best?.score ?? null, noise.score);
  if (heldOut?.accuracy != null) return `${pointsText(heldOut.accuracy)} on samples held out from the search`;
  if (heldOut !== null && byAccuracy)
    return `${pointsText(heldOut.score)} on samples held out from the search`;
  if (accuracy !== null) return pointsText(accuracy);
  if (score === null) return null;
  if (byAccuracy) return pointsText(score);
  const rating = heldOut?.score ?? score;
  return `the score (${data.scoreTitle}) goes from ${formatScore(rating.before)} to ${formatScore(rating.after)}`;
}

function ratingOf(before: number | null, after: number | null, noise: number | null): ReportRating | null {
  return before === null || after === null ? null : { before, after, noise };
}

/** Such as "0.6 points of accuracy lost (± 0.4 by chance)". */
function pointsText({ before, after, noise }: ReportRating): string {
  const lost = 100 * (before - after);
  const chance = noise ? ` (± ${(100 * noise).toFixed(1)} by chance)` : "";
  if (Math.abs(lost) < 0.05) return "no accuracy lost";
  return `${Math.abs(lost).toFixed(1)} points of accuracy ${lost > 0 ? "lost" : "gained"}${chance}`;
}

/** "Latency, measured" and the like. */
export function measuredRows({
  measured,
}: ReportData): { name: string; metric: string; before: number; after: number }[] {
  return measured === null
    ? []
    : [
        { name: `${headingOf("latency")}, measured`, metric: "latency", ...measured.latency },
        { name: "File size", metric: "size", ...measured.fileBytes },
      ];
}

/** The share that is kept, as a percentage. */
export function keptText(before: number, after: number): string {
  return formatPercent(after / before);
}

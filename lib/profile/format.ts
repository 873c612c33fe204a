import { expected, isRecord, requireOptions } from "../util/check";
import { formatTable, type TableColumn } from "../util/table";
import { type OperatorProfile, PROFILE_DEFAULTS, type Profile } from "./types";
import { formatBytes, formatCount, formatMilliseconds, formatShape } from "./units";

/** Options of {@link formatProfile}. */
export interface FormatProfileOptions {
  /** How many operators to show, the costliest first; default 15. */
  top?: number;
}

/**
 * A profile as a table for a terminal: its costliest operators (by latency where measured, else by multiply-adds),
 * one row for all others, the total, and the conditions of the measurement. Ends in a newline.
 *
 * @throws `ERR_ARGUMENT` for what is no profile
 *
 * @example
 * ```ts
 * const measured = await profile(module, dummyInput, { metrics: ["params", "flops"] });
 * process.stdout.write(formatProfile(measured, { top: 5 }));
 * ```
 */
export function formatProfile(profile: Profile, options: FormatProfileOptions = {}): string {
  requireOptions(options, "formatProfile");
  const { top = PROFILE_DEFAULTS.top } = options;
  if (!isProfile(profile)) throw expected("ERR_ARGUMENT", "a profile", "profile", profile);
  const timed = profile.latency !== null;
  const costs = (row: OperatorProfile): number[] =>
    timed ? [row.latencyMs ?? 0, row.macs] : [row.macs, row.params];
  const ordered = [...profile.operators].sort((a, b) => {
    const [a0 = 0, a1 = 0] = costs(a);
    const [b0 = 0, b1 = 0] = costs(b);
    return b0 - a0 || b1 - a1;
  });
  const shown = ordered.slice(0, top);
  const others = ordered.slice(top);
  const columns: TableColumn[] = [
    { title: "name" },
    { title: "operator" },
    { title: "output" },
    { title: "params", align: "right" },
    { title: "MACs", align: "right" },
    { title: "FLOPs", align: "right" },
  ];
  if (timed) columns.push({ title: "latency", align: "right" });
  const rows = shown.map((row) => [
    row.name === "" ? "-" : row.name,
    row.op.replace(/^aten::/, ""),
    row.outputShapes.map(formatShape).join(" "),
    ...numbers(row.params, row.macs, row.latencyMs),
  ]);
  if (others.length > 0) {
    const sum = (of: (row: OperatorProfile) => number): number =>
      others.reduce((total, row) => total + of(row), 0);
    const latency = timed ? sum((row) => row.latencyMs ?? 0) : null;
    rows.push([
      `(${others.length} others)`,
      "",
      "",
      ...numbers(
        sum((row) => row.params),
        sum((row) => row.macs),
        latency,
      ),
    ]);
  }
  const footer = [
    ["total", "", "", ...numbers(profile.params, profile.macs, profile.latency?.median ?? null)],
  ];
  return formatTable(columns, rows, footer) + summary(profile);
}

function isProfile(value: unknown): value is Profile {
  if (!isRecord(value)) return false;
  const { operators, notes, latency, params, macs, size, memory } = value as Partial<Profile>;
  return (
    Array.isArray(operators) &&
    operators.every(isOperator) &&
    Array.isArray(notes) &&
    areNumbers([params, macs, size, memory]) &&
    (latency === null || (isRecord(latency) && areNumbers(TIMES.map((key) => latency[key]))))
  );
}

const TIMES = ["median", "p10", "p90", "p99"] as const;

function isOperator(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { name, op, outputShapes, params, macs, latencyMs } = value as Partial<OperatorProfile>;
  return (
    typeof name === "string" &&
    typeof op === "string" &&
    Array.isArray(outputShapes) &&
    outputShapes.every(areNumbers) &&
    areNumbers([params, macs, latencyMs ?? 0])
  );
}

function areNumbers(values: unknown): boolean {
  return Array.isArray(values) && values.every((value) => typeof value === "number");
}

function numbers(params: number, macs: number, latencyMs: number | null): string[] {
  const cells = [formatCount(params), formatCount(macs), formatCount(2 * macs)];
  return latencyMs === null ? cells : [...cells, formatMilliseconds(latencyMs)];
}

function summary({ size, memory, latency, device, notes }: Profile): string {
  const lines = [
    `Parameters and buffers take ${formatBytes(size)}; with activations, ${formatBytes(memory)} at the most.`,
  ];
  if (latency !== null) {
    const { median, p10, p90, p99, runs, warmup, threads } = latency;
    lines.push(
      `A forward pass takes ${formatMilliseconds(median)} (p10 ${formatMilliseconds(p10)}, p90 ${formatMilliseconds(p90)}, ` +
        `p99 ${formatMilliseconds(p99)}; ${runs} runs after ${warmup} warm-ups, ${device}, ` +
        `${threads} thread${threads === 1 ? "" : "s"}).`,
    );
  }
  return `${[...lines, ...notes.map((note) => `Note: ${note}`)].join("\n")}\n`;
}

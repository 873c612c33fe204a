/** The subnets that a search has measured, kept in columns: thousands of them are saved in a few milliseconds. */
import { expected, isRecord, isTypedArray } from "../util/check";
import type { ScoredSubnet, SpaceCosts, SubnetConfig } from "./types";

/** Measured subnets, one row each. In a checkpoint the typed arrays are tensors, which any language reads. */
export interface CandidateColumns {
  /** The hyperparameters, in the order of a row's widths. */
  names: string[];
  /**
   * Rows of widths, one after the other, each `names.length` long. Doubles where a value of the user's own isn't whole.
   */
  widths: Int32Array | Float64Array;
  /** The score of each row; NaN where scoring was stopped early. */
  scores: Float64Array;
  /** Upper bounds of the scores of rows whose scoring was stopped early; else NaN. Left out where none was stopped. */
  atMost?: Float64Array;
  /** The probability that `atMost` is wrong, 0 where it is certain, of rows that were stopped; else NaN. */
  errorProbability?: Float64Array;
  /** The costs of each row, by metric. */
  costs: Record<string, Float64Array>;
}

/** No rows yet. */
export function noCandidates(): CandidateColumns {
  return { names: [], widths: new Int32Array(), scores: new Float64Array(), costs: {} };
}

/** The rows of {@link CandidateColumns}, as subnets. @throws `ERR_ARGUMENT` where they are no such columns */
export function subnetsOf(columns: CandidateColumns): ScoredSubnet[] {
  requireColumns(columns);
  return Array.from(columns.scores, (_, row) => subnetAt(columns, row));
}

function requireColumns(columns: unknown): void {
  const { names, widths, scores, atMost, errorProbability, costs } = (
    isRecord(columns) ? columns : {}
  ) as Partial<CandidateColumns>;
  const rows = areNumericColumn(scores) ? scores.length : -1;
  const isColumn = (value: unknown, length = rows): boolean =>
    areNumericColumn(value) && value.length === length;
  const sound =
    Array.isArray(names) &&
    names.every((name) => typeof name === "string") &&
    isColumn(widths, rows * names.length) &&
    isRecord(costs) &&
    Object.values(costs).every((column) => isColumn(column)) &&
    [atMost, errorProbability].every((column) => column === undefined || isColumn(column));
  if (!sound) throw expected("ERR_ARGUMENT", "candidates in columns of equal length", "columns", columns);
}

/** A score may be NaN. */
function areNumericColumn(value: unknown): value is Float64Array {
  return isTypedArray(value) || (Array.isArray(value) && value.every((each) => typeof each === "number"));
}

function subnetAt(columns: CandidateColumns, row: number): ScoredSubnet {
  const { names, widths, scores, atMost, errorProbability, costs } = columns;
  const bound = atMost?.[row];
  return {
    config: Object.fromEntries(names.map((name, i) => [name, widths[row * names.length + i] as number])),
    score: scores[row] as number,
    costs: Object.fromEntries(
      Object.entries(costs).map(([metric, column]) => [metric, column[row] as number]),
    ) as SpaceCosts,
    ...(bound !== undefined &&
      !Number.isNaN(bound) && { atMost: bound, errorProbability: errorProbability?.[row] ?? 0 }),
  };
}

/** Measured subnets that grow in number and are found by their widths. A subnet is known by its row, from 0 on. */
export class Candidates {
  readonly #names: readonly string[];
  readonly #subnets: ScoredSubnet[];
  readonly #rows = new Map<string, number>();

  /** @param names the space's hyperparameters; @param columns what an earlier run measured */
  constructor(names: readonly string[], columns: CandidateColumns) {
    this.#names = names;
    this.#subnets = subnetsOf(columns);
    this.#subnets.forEach(({ config }, row) => {
      this.#rows.set(this.keyOf(config), row);
    });
  }

  /** How many there are. */
  get length(): number {
    return this.#subnets.length;
  }

  /** The subnet of a row. */
  at(row: number): ScoredSubnet {
    return this.#subnets[row] as ScoredSubnet;
  }

  /** Computes the costs of all subnets again. */
  reprice(costsOf: (config: Readonly<SubnetConfig>) => SpaceCosts): void {
    for (const subnet of this.#subnets) subnet.costs = costsOf(subnet.config);
  }

  /** The row of a subnet, or undefined when it was not measured. */
  find(config: Readonly<SubnetConfig>): number | undefined {
    return this.#rows.get(this.keyOf(config));
  }

  /** Adds a subnet that is not there yet; gives its row. */
  add(subnet: ScoredSubnet): number {
    const row = this.#subnets.push(subnet) - 1;
    this.#rows.set(this.keyOf(subnet.config), row);
    return row;
  }

  /** Replaces what a known subnet was measured to be. */
  replace(row: number, subnet: ScoredSubnet): void {
    this.#subnets[row] = subnet;
  }

  /** All rows, or those asked for, as columns. */
  columns(rows?: readonly number[]): CandidateColumns {
    const subnets = rows?.map((row) => this.at(row)) ?? this.#subnets;
    const names = [...this.#names];
    let widths: CandidateColumns["widths"] = new Int32Array(subnets.length * names.length);
    const costs: Record<string, Float64Array> = {};
    for (const metric of Object.keys(subnets[0]?.costs ?? {}))
      costs[metric] = new Float64Array(subnets.length);
    subnets.forEach((subnet, row) => {
      names.forEach((name, i) => {
        const at = row * names.length + i;
        const value = subnet.config[name] as number;
        widths[at] = value;
        if (widths[at] === value) return;
        widths = Float64Array.from(widths);
        widths[at] = value;
      });
      for (const [metric, value] of Object.entries(subnet.costs))
        (costs[metric] as Float64Array)[row] = value;
    });
    const scores = Float64Array.from(subnets, ({ score }) => score);
    const stopped = subnets.some(({ atMost }) => atMost !== undefined);
    const column = (key: "atMost" | "errorProbability"): Float64Array =>
      Float64Array.from(subnets, (subnet) => subnet[key] ?? Number.NaN);
    const bounds = stopped && { atMost: column("atMost"), errorProbability: column("errorProbability") };
    return { names, widths, scores, ...bounds, costs };
  }

  /** A text that two subnets share when they are the same. */
  keyOf(config: Readonly<SubnetConfig>): string {
    return this.#names.map((name) => config[name]).join(" ");
  }
}

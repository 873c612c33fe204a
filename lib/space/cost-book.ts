/** The costs of subnets: the native metrics, latencies from a table, and metrics of the user's own. */
import { KNOWN_METRICS } from "../contract/constraints";
import { TorchSearchError } from "../errors";
import { wrapFailure } from "../evaluation/failures";
import type { NativeSearchSpace } from "../native/types/search-space";
import { LatencyTable } from "../profile/latency-table";
import { metricsOf } from "../profile/metrics";
import { expected, isFunction } from "../util/check";
import { noLatencyTable, toNativeTable } from "./latency";
import { unknownMetric } from "./names";
import { SPACE_METRICS, type SpaceCosts, type SpaceMetric, type SubnetConfig } from "./types";
import type { WidthCodec } from "./width-codec";

const ALL_METRICS: readonly string[] = metricsOf("widths");

/** A cost of the user's own, by a complete config. */
type OwnCost<Space> = (config: Readonly<SubnetConfig>, space: Space) => number;

/** The costs of a space's subnets. */
export class CostBook<Space> {
  readonly #native: NativeSearchSpace;
  readonly #codec: WidthCodec;
  readonly #space: Space;
  readonly #own = new Map<string, OwnCost<Space>>();
  #latencyTable: LatencyTable | null = null;

  /** @param space the second argument of the user's own costs */
  constructor(native: NativeSearchSpace, codec: WidthCodec, space: Space) {
    this.#native = native;
    this.#codec = codec;
    this.#space = space;
  }

  /** The metrics that {@link cost} knows now. */
  get metrics(): readonly (SpaceMetric | (string & {}))[] {
    const builtIn: readonly string[] = this.#latencyTable === null ? SPACE_METRICS : ALL_METRICS;
    return this.#own.size === 0 ? builtIn : [...builtIn, ...this.#own.keys()];
  }

  /** See `SearchSpace.cost`. */
  cost(config: Readonly<SubnetConfig>, metric: string): number {
    const own = this.#own.get(metric);
    if (own !== undefined) {
      const complete = this.#codec.toConfig([...this.#codec.toWidths(config)]);
      return this.#ownCost(metric, own, complete);
    }
    if (!ALL_METRICS.includes(metric)) throw unknownMetric(metric, [...ALL_METRICS, ...this.#own.keys()]);
    if (metric === "latency" && this.#latencyTable === null && !this.#native.closed) throw noLatencyTable();
    return this.#native.cost(this.#codec.toWidths(config), metric);
  }

  /** All {@link metrics}. */
  costs(config: Readonly<SubnetConfig>): SpaceCosts {
    const widths = this.#codec.toWidths(config);
    const complete = this.#own.size === 0 ? config : this.#codec.toConfig([...widths]);
    // The user's own metrics come last, and may ask for costs that overwrite the widths.
    return Object.fromEntries(
      this.metrics.map((metric) => {
        const own = this.#own.get(metric);
        const cost =
          own === undefined ? this.#native.cost(widths, metric) : this.#ownCost(metric, own, { ...complete });
        return [metric, cost];
      }),
    ) as SpaceCosts;
  }

  /** Adds a metric; see `SearchSpace.addMetric`. @throws `ERR_ARGUMENT` */
  add(name: string, cost: OwnCost<Space>): void {
    if (typeof name !== "string" || !/^[A-Za-z]\w*$/.test(name))
      throw expected("ERR_ARGUMENT", "letters, digits and underscores", "the metric's name", name);
    if (!isFunction(cost)) throw expected("ERR_ARGUMENT", "a function of a config", "cost", cost);
    if ((KNOWN_METRICS as readonly string[]).includes(name) || this.#own.has(name)) {
      throw new TorchSearchError(
        "ERR_ARGUMENT",
        `There is a metric "${name}" already; add yours by another name.`,
      );
    }
    this.#own.set(name, cost);
  }

  /** The table that latencies are computed from, or null. */
  get latencyTable(): LatencyTable | null {
    return this.#latencyTable;
  }

  /** See `SearchSpace.useLatencyTable`. */
  useLatencyTable(table: LatencyTable | null): void {
    if (table !== null && !(table instanceof LatencyTable))
      throw expected("ERR_ARGUMENT", "a LatencyTable or null", "table", table);
    this.#native.useLatencyTable(table === null ? null : toNativeTable(table));
    this.#latencyTable = table;
  }

  #ownCost(name: string, cost: OwnCost<Space>, complete: Readonly<SubnetConfig>): number {
    let value: unknown;
    try {
      value = cost(complete, this.#space);
    } catch (error) {
      throw wrapFailure(error, null, "ERR_COST_FAILED", `the cost "${name}"`);
    }
    if (typeof value !== "number" || !Number.isFinite(value) || value < 0)
      throw expected("ERR_COST_NAN", "a finite number of at least 0", `the cost "${name}"`, value);
    return value;
  }
}

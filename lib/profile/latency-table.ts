/** Measured latencies of operators, in a form that can be saved to a file and shared. */

import { TorchSearchError } from "../errors";
import { writeFileAtomic } from "../util/atomic-file";
import { describe, expected, isPositiveInteger, isRecord, requirePath } from "../util/check";
import { readRegularFile } from "../util/regular-file";

/** Version of the file format that this library writes. */
export const LATENCY_TABLE_VERSION = 1;

const FORMAT = "torchsearch-latency-table";

/** The conditions that a table was measured under. Tables of different conditions are not mixed. */
export interface LatencyConditions {
  /** Where it was measured, such as `cpu`. */
  device: string;
  /** LibTorch's threads within an operator. */
  threads: number;
  /** LibTorch's version. */
  torch: string;
  /** The processor's name; for devices other than the CPU, the device's kind. */
  hardware: string;
}

/** A measured operator. */
export interface LatencyPoint {
  /** The sizes that the key's letters stand for, in the order of the letters. */
  sizes: number[];
  /** Lower quartile of the repeats, in milliseconds; the median of all places where an equal operator stands. */
  ms: number;
}

/** An operator at several sizes. */
export interface LatencyEntry {
  /** The operator, such as `aten::conv2d`. */
  op: string;
  /** Operator, dtypes, shapes and layouts of its tensors, and other arguments; letters stand for sizes that vary. */
  key: string;
  /** The measurements, by the sizes that vary. */
  points: LatencyPoint[];
}

/** A table in JSON. A point is its sizes, followed by its milliseconds. */
export interface LatencyTableJson {
  /** Always the same: the kind of the file. */
  format: typeof FORMAT;
  /** The version of the format. A reader refuses a newer one than its own. */
  version: number;
  /** The conditions that the table was measured under. */
  conditions: LatencyConditions;
  /** By key: sizes that vary, and then milliseconds. */
  operators: { key: string; points: number[][] }[];
}

/**
 * Latencies of operators by their shapes, on one machine. `space.measureLatency()` makes or completes a table;
 * `space.useLatencyTable()` lets a space compute latencies from it, also on another machine than the table's. A table
 * holds only shapes of operators, and serves every model that has such operators.
 *
 * @example
 * ```ts
 * const table = await space.measureLatency();
 * await table.save("latencies.json");
 * space.useLatencyTable(await LatencyTable.load("latencies.json"));
 * console.log(space.cost(space.fullConfig, "latency"));
 * ```
 */
export class LatencyTable {
  /** The conditions that the table was measured under. */
  readonly conditions: Readonly<LatencyConditions>;
  /** By key, then by sizes. */
  readonly #points = new Map<string, Map<string, LatencyPoint>>();

  /** @throws `ERR_ARGUMENT` */
  constructor(conditions: LatencyConditions) {
    if (!isConditions(conditions)) throw expected("ERR_ARGUMENT", "conditions", "a LatencyTable", conditions);
    this.conditions = Object.freeze({ ...conditions });
  }

  /** How many points there are. */
  get size(): number {
    let size = 0;
    for (const points of this.#points.values()) size += points.size;
    return size;
  }

  /** Copies of all entries, by key. */
  get entries(): LatencyEntry[] {
    return [...this.#points.keys()].sort().map((key) => ({
      op: key.slice(0, key.indexOf("(")),
      key,
      points: this.#sorted(key).map(({ sizes, ms }) => ({ sizes: [...sizes], ms })),
    }));
  }

  /** The milliseconds of an operator, or undefined when they were not measured. */
  get(key: string, sizes: readonly number[]): number | undefined {
    return this.#points.get(key)?.get(sizes.join())?.ms;
  }

  /**
   * Adds a point. One that is there already stays as it is.
   *
   * @throws `ERR_LATENCY_TABLE` for anything but sizes and milliseconds, as many sizes as the key's other points have
   */
  add(key: string, sizes: readonly number[], ms: number): this {
    const points = this.#points.get(key) ?? new Map<string, LatencyPoint>();
    const first = points.values().next().value as LatencyPoint | undefined;
    const sound =
      typeof key === "string" &&
      /^[^(]+\(/.test(key) &&
      Array.isArray(sizes) &&
      sizes.every((size) => isPositiveInteger(size)) &&
      (first === undefined || first.sizes.length === sizes.length) &&
      Number.isFinite(ms) &&
      ms >= 0;
    if (!sound) throw corrupt(`a point of ${describe(key)} is none`);
    const name = sizes.join();
    if (!points.has(name)) points.set(name, { sizes: [...sizes], ms });
    this.#points.set(key, points);
    return this;
  }

  /**
   * Adds the points of another table of the same conditions that this one lacks.
   *
   * @throws `ERR_LATENCY_TABLE_MISMATCH`
   */
  merge(other: LatencyTable): this {
    if (!(other instanceof LatencyTable)) throw expected("ERR_ARGUMENT", "a LatencyTable", "other", other);
    this.requireConditions(other.conditions);
    for (const [key, points] of other.#points)
      for (const { sizes, ms } of points.values()) this.add(key, sizes, ms);
    return this;
  }

  /**
   * Refuses conditions that differ from the table's.
   *
   * @param wanted the conditions to compare
   * @throws `ERR_LATENCY_TABLE_MISMATCH`
   */
  requireConditions(wanted: Partial<LatencyConditions>): void {
    if (!isRecord(wanted)) throw expected("ERR_ARGUMENT", "a record of conditions", "wanted", wanted);
    for (const [name, value] of Object.entries(wanted)) {
      const own = this.conditions[name as keyof LatencyConditions];
      if (value === undefined || value === own) continue;
      throw new TorchSearchError(
        "ERR_LATENCY_TABLE_MISMATCH",
        `the latency table was measured with ${name} ${JSON.stringify(own)}, not ${describe(value)}; measure a table of its own for that`,
      );
    }
  }

  /** The table as an object for `JSON.stringify`. */
  toJSON(): LatencyTableJson {
    return {
      format: FORMAT,
      version: LATENCY_TABLE_VERSION,
      conditions: { ...this.conditions },
      operators: this.entries.map(({ key, points }) => ({
        key,
        points: points.map(({ sizes, ms }) => [...sizes, ms]),
      })),
    };
  }

  /**
   * @throws `ERR_LATENCY_TABLE`, `ERR_LATENCY_TABLE_VERSION`
   */
  static fromJSON(json: unknown): LatencyTable {
    if (!isRecord(json) || json.format !== FORMAT) throw corrupt(`its "format" is not "${FORMAT}"`);
    const { version, conditions, operators } = json;
    if (!isPositiveInteger(version)) throw corrupt("it has no version");
    if (version > LATENCY_TABLE_VERSION) {
      throw new TorchSearchError(
        "ERR_LATENCY_TABLE_VERSION",
        `the latency table has version ${version}, and this torchsearch reads up to ${LATENCY_TABLE_VERSION}; update torchsearch, or measure anew`,
      );
    }
    if (!isConditions(conditions)) throw corrupt("its conditions are incomplete");
    if (!Array.isArray(operators)) throw corrupt("it has no operators");
    const { device, threads, torch, hardware } = conditions;
    const table = new LatencyTable({ device, threads, torch, hardware });
    for (const operator of operators as unknown[]) {
      if (!isRecord(operator) || typeof operator.key !== "string" || !Array.isArray(operator.points))
        throw corrupt("an operator lacks its key or points");
      for (const point of operator.points as unknown[]) {
        if (!Array.isArray(point) || point.length === 0)
          throw corrupt(`a point of ${operator.key.slice(0, 60)} is none`);
        table.add(operator.key, point.slice(0, -1) as number[], point.at(-1) as number);
      }
    }
    return table;
  }

  /**
   * Reads a table that {@link save} wrote.
   *
   * @throws `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`, `ERR_LATENCY_TABLE`, `ERR_LATENCY_TABLE_VERSION`
   */
  static async load(file: string): Promise<LatencyTable> {
    requirePath(file, "LatencyTable.load");
    let text: string;
    try {
      text = (await readRegularFile(file)).toString("utf8");
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      throw new TorchSearchError(
        missing ? "ERR_FILE_NOT_FOUND" : "ERR_FILE_READ",
        missing
          ? `there is no latency table at ${file}`
          : `the latency table ${file} can't be read: ${(error as Error).message}`,
        { cause: error },
      );
    }
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      throw corrupt(`${file} is no JSON`, error);
    }
    return LatencyTable.fromJSON(json);
  }

  /**
   * Writes the table as JSON, atomically: an earlier file stays intact if anything fails.
   *
   * @throws `ERR_FILE_WRITE`
   */
  async save(file: string): Promise<void> {
    requirePath(file, "LatencyTable.save");
    const { operators, ...head } = this.toJSON();
    const lines = operators.map((operator) => `    ${JSON.stringify(operator)}`);
    // One line for each operator, so that a diff of two files shows the new measurements.
    const text = `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "operators": [\n${lines.join(",\n")}\n  ]\n}\n`;
    try {
      await writeFileAtomic(file, [Buffer.from(text)]);
    } catch (error) {
      throw new TorchSearchError("ERR_FILE_WRITE", `the latency table can't be written to ${file}`, {
        cause: error,
      });
    }
  }

  #sorted(key: string): LatencyPoint[] {
    const order = (a: LatencyPoint, b: LatencyPoint): number => {
      const at = a.sizes.findIndex((size, i) => size !== b.sizes[i]);
      return at < 0 ? 0 : (a.sizes[at] as number) - (b.sizes[at] as number);
    };
    return [...(this.#points.get(key) ?? new Map()).values()].sort(order);
  }
}

function isConditions(value: unknown): value is LatencyConditions {
  return (
    isRecord(value) &&
    isPositiveInteger(value.threads) &&
    [value.device, value.torch, value.hardware].every((text) => typeof text === "string")
  );
}

function corrupt(what: string, cause?: unknown): TorchSearchError {
  return new TorchSearchError(
    "ERR_LATENCY_TABLE",
    `this is no sound latency table: ${what}; measure it anew with space.measureLatency()`,
    { cause },
  );
}

/** The integer program of a search: one choice of each hyperparameter, the least degradation, all bounds met. */
import type { Bounds } from "../../contract/constraints";
import type { Hyperparameter, SubnetConfig } from "../../space/types";
import type { MilpProgram, MilpRow } from "./highs";
import type { GatedTerm, PairTerm, PairwiseCosts } from "./pairwise-costs";

/** Costs are stated as shares of their bound; this much more than 1 is rounding. */
const ROUNDING = 1e-9;

/**
 * States and reads a program whose variables are, for each hyperparameter h and choice c, whether h takes c (x, whole),
 * and products of two of them.
 *
 * A pair of hyperparameters whose joint cost is a product, scale * left(c) * right(e), needs as many products as the
 * first has choices: z(c) = x(h, c) * R, where R = sum of right(e) x(k, e) lies in [0, 1], is stated by 0 <= z(c) <=
 * x(h, c) and sum over c of z(c) = R. That is exact for whole x, since exactly one x(h, c) is 1 (the
 * reformulation-linearization technique; Adams and Sherali, "A Tight Linearization and an Algorithm for Zero-One
 * Quadratic Programming Problems", Management Science 32, 1986). Any other pair gets y(c, e) = x(h, c) * x(k, e),
 * stated by their sums over c and over e. Where a third hyperparameter g scales a pair, v(f, k) = x(g, f) * (z or y)(k)
 * is stated in the same way: v >= 0, sum over f of v(f, k) = (z or y)(k), and sum over k of v(f, k) <= x(g, f).
 */
export class SearchProgram {
  readonly #costs: PairwiseCosts;
  readonly #harms: readonly (readonly number[])[];
  readonly #offsets: number[] = [];
  readonly #pairOffsets: number[] = [];
  readonly #gatedOffsets: number[] = [];
  readonly #variables: number;
  /** Shares of each bound that may be used. */
  readonly #shares: Record<string, number>;
  readonly #excluded: SubnetConfig[] = [];

  /**
   * @param harms what each choice of each hyperparameter costs, to be minimized in sum
   * @param bounds upper bounds by metric
   */
  constructor(
    costs: PairwiseCosts,
    harms: readonly (readonly number[])[],
    readonly bounds: Bounds,
  ) {
    this.#costs = costs;
    this.#harms = harms;
    this.#shares = Object.fromEntries(Object.keys(bounds).map((metric) => [metric, 1 + ROUNDING]));
    let next = 0;
    for (const { choices } of costs.hyperparameters) {
      this.#offsets.push(next);
      next += choices.length;
    }
    for (const pair of costs.pairs) {
      this.#pairOffsets.push(next);
      next += this.#columns(pair);
    }
    for (const { pair, gate } of costs.gated) {
      this.#gatedOffsets.push(next);
      next += this.#columns(costs.pairs[pair] as PairTerm) * this.#choices(gate);
    }
    this.#variables = next;
  }

  /** Excludes one subnet. */
  exclude(config: SubnetConfig): void {
    this.#excluded.push(config);
  }

  /** Takes a share off a bound. */
  tighten(metric: string, share: number): void {
    (this.#shares[metric] as number) -= share;
  }

  /** The program as it stands. */
  program(): MilpProgram {
    const { hyperparameters, pairs } = this.#costs;
    const costs = new Array<number>(this.#variables).fill(0);
    const integer = new Array<boolean>(this.#variables).fill(false);
    const rows: MilpRow[] = [];
    hyperparameters.forEach(({ choices }, h) => {
      const at = choices.map((_, c) => this.#x(h, c));
      at.forEach((variable, c) => {
        costs[variable] = this.#harms[h]?.[c] as number;
        integer[variable] = true;
      });
      rows.push({ at, values: at.map(() => 1), lower: 1, upper: 1 });
    });
    pairs.forEach((pair, p) => {
      rows.push(...(pair.product === null ? this.#tableRows(pair, p) : this.#productRows(pair, p)));
    });
    this.#costs.gated.forEach((term, t) => {
      rows.push(...this.#gatedRows(term, t));
    });
    for (const metric of Object.keys(this.bounds)) rows.push(this.#boundRow(metric));
    for (const config of this.#excluded) {
      const at = this.#chosen(config);
      rows.push({ at, values: at.map(() => 1), lower: 0, upper: at.length - 1 });
    }
    return { costs, integer, rows };
  }

  /** The subnet of a solution. */
  read(x: readonly number[]): SubnetConfig {
    return Object.fromEntries(
      this.#costs.hyperparameters.map(({ name, choices }, h) => {
        const values = choices.map((_, c) => x[this.#x(h, c)] as number);
        return [name, choices[values.indexOf(Math.max(...values))] as number];
      }),
    );
  }

  /** The solution of a subnet. */
  write(config: Readonly<SubnetConfig>): number[] {
    const x = new Array<number>(this.#variables).fill(0);
    for (const variable of this.#chosen(config)) x[variable] = 1;
    this.#costs.pairs.forEach((pair, p) => {
      const c = this.#position(pair.first, config);
      const e = this.#position(pair.second, config);
      if (pair.product === null) x[this.#y(pair, p, c, e)] = 1;
      else x[this.#z(p, c)] = pair.product.right[e] as number;
    });
    this.#costs.gated.forEach(({ pair, gate }, t) => {
      const f = this.#position(gate, config);
      this.#eachColumn(pair, (variable, k) => {
        x[this.#v(t, f, k)] = x[variable] as number;
      });
    });
    return x;
  }

  #boundRow(metric: string): MilpRow {
    const { full, single, pairs } = this.#costs;
    const bound = this.bounds[metric] as number;
    const at: number[] = [];
    const values: number[] = [];
    const add = (variable: number, amount: number): void => {
      if (amount === 0) return;
      at.push(variable);
      values.push(amount / bound);
    };
    single[metric]?.forEach((amounts, h) => {
      amounts.forEach((amount, c) => {
        add(this.#x(h, c), amount);
      });
    });
    pairs.forEach((pair, p) => {
      const weights = this.#weights(pair, metric);
      this.#eachColumn(p, (variable, k) => {
        add(variable, weights[k] as number);
      });
    });
    this.#costs.gated.forEach(({ pair, shares }, t) => {
      this.#weights(pairs[pair] as PairTerm, metric).forEach((weight, k) => {
        shares[metric]?.forEach((share, f) => {
          add(this.#v(t, f, k), share * weight);
        });
      });
    });
    const upper = (this.#shares[metric] as number) - (full[metric] as number) / bound;
    return { at, values, lower: Number.NEGATIVE_INFINITY, upper };
  }

  #productRows(pair: PairTerm, p: number): MilpRow[] {
    const { right } = pair.product as NonNullable<PairTerm["product"]>;
    const [count] = this.#counts(pair);
    const z = Array.from({ length: count }, (_, c) => this.#z(p, c));
    const weighted = right.flatMap((factor, e) =>
      factor === 0 ? [] : [{ at: this.#x(pair.second, e), factor }],
    );
    const sum: MilpRow = {
      at: [...z, ...weighted.map(({ at }) => at)],
      values: [...z.map(() => 1), ...weighted.map(({ factor }) => -factor)],
      lower: 0,
      upper: 0,
    };
    const caps = z.map(
      (variable, c): MilpRow => ({
        at: [variable, this.#x(pair.first, c)],
        values: [1, -1],
        lower: Number.NEGATIVE_INFINITY,
        upper: 0,
      }),
    );
    return [sum, ...caps];
  }

  #gatedRows({ pair, gate }: GatedTerm, t: number): MilpRow[] {
    const choices = Array.from({ length: this.#choices(gate) }, (_, f) => f);
    const rows: MilpRow[] = [];
    this.#eachColumn(pair, (variable, k) => {
      const v = choices.map((f) => this.#v(t, f, k));
      rows.push({ at: [...v, variable], values: [...v.map(() => 1), -1], lower: 0, upper: 0 });
    });
    const columns = rows.map((_, k) => k);
    const lower = Number.NEGATIVE_INFINITY;
    for (const f of choices) {
      const v = columns.map((k) => this.#v(t, f, k));
      rows.push({ at: [...v, this.#x(gate, f)], values: [...v.map(() => 1), -1], lower, upper: 0 });
    }
    return rows;
  }

  #tableRows(pair: PairTerm, p: number): MilpRow[] {
    const [count, others] = this.#counts(pair);
    const row = (products: number[], variable: number): MilpRow => ({
      at: [...products, variable],
      values: [...products.map(() => 1), -1],
      lower: 0,
      upper: 0,
    });
    const byFirst = Array.from({ length: count }, (_, c) =>
      row(
        Array.from({ length: others }, (_, e) => this.#y(pair, p, c, e)),
        this.#x(pair.first, c),
      ),
    );
    const bySecond = Array.from({ length: others }, (_, e) =>
      row(
        Array.from({ length: count }, (_, c) => this.#y(pair, p, c, e)),
        this.#x(pair.second, e),
      ),
    );
    return [...byFirst, ...bySecond];
  }

  #counts({ first, second }: PairTerm): [number, number] {
    return [this.#choices(first), this.#choices(second)];
  }

  #choices(h: number): number {
    return (this.#costs.hyperparameters[h] as Hyperparameter).choices.length;
  }

  #x(h: number, c: number): number {
    return (this.#offsets[h] as number) + c;
  }

  #z(p: number, c: number): number {
    return (this.#pairOffsets[p] as number) + c;
  }

  /** The variable of gated term t for the gate's choice f and the pair's column k. */
  #v(t: number, f: number, k: number): number {
    const { pair } = this.#costs.gated[t] as GatedTerm;
    return (this.#gatedOffsets[t] as number) + f * this.#columns(this.#costs.pairs[pair] as PairTerm) + k;
  }

  /** How many variables state a pair: z(c) for a product, else y(c, e), row by row. */
  #columns(pair: PairTerm): number {
    const [c, e] = this.#counts(pair);
    return pair.product === null ? c * e : c;
  }

  #eachColumn(p: number, visit: (variable: number, k: number) => void): void {
    const count = this.#columns(this.#costs.pairs[p] as PairTerm);
    for (let k = 0; k < count; k++) visit((this.#pairOffsets[p] as number) + k, k);
  }

  /** The cost of each of a pair's variables when it is 1. */
  #weights({ amounts, product }: PairTerm, metric: string): number[] {
    if (product === null) return (amounts[metric] as number[][]).flat();
    return product.left.map((factor) => (product.scale[metric] as number) * factor);
  }

  #y(pair: PairTerm, p: number, c: number, e: number): number {
    return (this.#pairOffsets[p] as number) + c * this.#counts(pair)[1] + e;
  }

  #position(h: number, config: Readonly<SubnetConfig>): number {
    const { name, choices } = this.#costs.hyperparameters[h] as Hyperparameter;
    return choices.indexOf(config[name] as number);
  }

  #chosen(config: Readonly<SubnetConfig>): number[] {
    return this.#costs.hyperparameters.map((_, h) => this.#x(h, this.#position(h, config)));
  }
}

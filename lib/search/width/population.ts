/** The generations and the front of NSGA-II, over candidates that are known by their rows. */

import type { Candidates } from "../../space/candidates";
import type { SpaceMetric, SubnetConfig } from "../../space/types";
import type { Random } from "../../util/random";
import { dominates, type Point, type Survivor, survivors, tournament } from "./nsga2";

/** What a {@link Population} keeps in a searcher's state: the costs to minimize, and rows of candidates. */
export interface PopulationState {
  objectives: SpaceMetric[];
  parents: number[];
  children: number[];
}

/** Parents, children, and the front of all candidates so far. The objectives are minus the score, and the costs. */
export class Population {
  readonly #candidates: Candidates;
  readonly #state: PopulationState;
  readonly #size: number;
  #front: number[] = [];
  /** The parents with their ranks; computed when needed. */
  #pool: readonly Survivor[] | null = null;

  constructor(candidates: Candidates, state: PopulationState, size: number) {
    this.#candidates = candidates;
    this.#state = state;
    this.#size = size;
  }

  /** The front's rows, by rising first cost. */
  front(): number[] {
    const first = this.#state.objectives[0] as SpaceMetric;
    const cost = (row: number): number => this.#candidates.at(row).costs[first] as number;
    return [...this.#front].sort((a, b) => cost(a) - cost(b) || a - b);
  }

  /** Takes a candidate into the front, unless one of it is as good or better in everything. */
  enterFront(row: number): void {
    const point = this.#point(row);
    const same = (other: Point): boolean => other.every((value, i) => value === point[i]);
    const beaten = this.#front.some((other) => {
      const rival = this.#point(other);
      return dominates(rival, point) || same(rival);
    });
    if (beaten) return;
    this.#front = this.#front.filter((other) => !dominates(point, this.#point(other)));
    this.#front.push(row);
  }

  /** A parent, by binary tournament. */
  parent(random: Random): SubnetConfig {
    const { parents } = this.#state;
    this.#pool ??= this.#survivors(parents);
    return this.#candidates.at(parents[tournament(this.#pool, random).at] as number).config;
  }

  /** Adds a child; with the last one of a generation, the survivors of parents and children become the parents. */
  add(row: number): void {
    const state = this.#state;
    this.enterFront(row);
    state.children.push(row);
    if (state.children.length < this.#size) return;
    const rows = [...new Set([...state.parents, ...state.children])];
    state.parents = this.#survivors(rows).map(({ at }) => rows[at] as number);
    state.children = [];
    this.#pool = null;
  }

  #survivors(rows: readonly number[]): Survivor[] {
    return survivors(
      rows.map((row) => this.#point(row)),
      this.#size,
    );
  }

  #point(row: number): Point {
    const { score, costs } = this.#candidates.at(row);
    return [-score, ...this.#state.objectives.map((metric) => costs[metric] as number)];
  }
}

import { BaseSearcher } from "../../lib/contract/base";
import type { SearchConfig } from "../../lib/contract/config";
import type { Bounds, Costs } from "../../lib/contract/constraints";
import type { SearchModel } from "../../lib/evaluation/types";

/** A model without weights: doubles its input, and writes down what happened to it. */
export class FakeModel implements SearchModel {
  training = true;
  calls: unknown[][] = [];
  log: string[] = [];
  selected = "full";

  constructor(readonly identity = "fake-model-fingerprint") {}

  async forward(...inputs: unknown[]): Promise<unknown> {
    this.calls.push(inputs);
    await Promise.resolve();
    return typeof inputs[0] === "number" ? inputs[0] * 2 : null;
  }

  train(on = true): this {
    this.log.push(`train(${on})`);
    this.training = on;
    return this;
  }

  eval(): this {
    return this.train(false);
  }

  async fingerprint(): Promise<string> {
    return this.identity;
  }

  captureState(): () => void {
    const { selected } = this;
    return () => {
      this.selected = selected;
    };
  }
}

export interface TrialConfig extends SearchConfig {
  trials: number;
}

export interface TrialState {
  best: { value: number; score: number } | null;
  history: number[];
}

/** The smallest honest searcher: random numbers, the best one wins; a checkpoint after each. */
export class TrialSearcher extends BaseSearcher<TrialState, TrialConfig, FakeModel> {
  steps: string[] = [];
  /** Called after each trial, to break in. */
  afterTrial: (trial: number) => void | Promise<void> = () => {};

  override get defaultSearchConfig(): TrialConfig {
    return { ...super.defaultSearchConfig, verbose: false, trials: 10 };
  }

  /** The constraints of the last search as upper bounds. */
  boundsFor(fullCosts: Costs): Bounds {
    return this.resolveConstraints(fullCosts).bounds;
  }

  get defaultStateDict(): TrialState {
    return { best: null, history: [] };
  }

  override beforeSearch(): void {
    this.steps.push("beforeSearch");
    this.model.eval();
    this.model.selected = "candidate";
  }

  async runSearch(): Promise<void> {
    this.steps.push("runSearch");
    while (this.state.history.length < this.config.trials) {
      const value = this.random.float();
      this.state.history.push(value);
      if (this.state.best === null || value > this.state.best.score)
        this.state.best = { value, score: value };
      this.report({
        phase: "trials",
        done: this.state.history.length,
        total: this.config.trials,
        message: "trial",
      });
      await this.saveSearchCheckpoint();
      await this.afterTrial(this.state.history.length);
    }
  }

  override afterSearch(): void {
    this.steps.push("afterSearch");
  }
}

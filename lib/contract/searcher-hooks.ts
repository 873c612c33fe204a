import type { ConfigRule } from "../util/rules";
import { baseConfigDefaults, type SearchConfig, sanitizeConfig } from "./config";

/**
 * What a searcher's class says of itself, and the steps that it fills in: what subclasses of `BaseSearcher` override.
 *
 * @typeParam State the search's state
 * @typeParam Config the searcher's config
 */
export abstract class SearcherHooks<State extends object, Config extends Partial<SearchConfig>> {
  /** The state at the beginning of a search. `state` starts as a deep copy of it, and has exactly its keys. */
  abstract get defaultStateDict(): State;

  /**
   * All config keys with their defaults. A subclass adds its own: `{ ...super.defaultSearchConfig, population: 100 }`.
   * It may also leave keys out; these are then unknown to its users, and the base class goes by their defaults.
   */
  get defaultSearchConfig(): Config {
    return baseConfigDefaults() as unknown as Config;
  }

  /**
   * Completes and checks a config.
   * @throws `ERR_UNKNOWN_CONFIG_KEY`, `ERR_CONFIG_VALUE`
   */
  sanitizeSearchConfig(config?: Partial<Config> | null): Config {
    return sanitizeConfig(config, this.defaultSearchConfig, this.searchConfigRules);
  }

  /** Rules for a subclass's own config keys; a key without a rule must have its default's type. */
  protected get searchConfigRules(): Readonly<Record<string, ConfigRule>> {
    return {};
  }

  /** Further values for the checkpoint's `settings`, beside constraints and config; reports read them. */
  protected get checkpointSettings(): Readonly<Record<string, unknown>> {
    return {};
  }

  /** Metrics that constraints may name beyond the usual ones. */
  protected get knownConstraints(): readonly string[] {
    return [];
  }

  /** Whether a constraint may be a pair `[lower, upper]`; a searcher that meets lower bounds returns true. */
  protected get takesLowerBounds(): boolean {
    return false;
  }

  /** Whether the searcher can run in a group, where every rank runs it and `share` spreads what it measures. */
  protected get sharesWork(): boolean {
    return true;
  }

  /** Steps before the search: checks, `model.eval()`, measurements. Nothing by default. */
  beforeSearch(): void | Promise<void> {}

  /** The search itself. A long one calls `saveSearchCheckpoint` repeatedly, and checks `config.signal`. */
  abstract runSearch(): void | Promise<void>;

  /** Steps after the search. Nothing by default. */
  afterSearch(): void | Promise<void> {}
}

/** The forward loop that a search makes of its config. */

import { TorchSearchError } from "../errors";
import { wrapFailure } from "../evaluation/failures";
import { runForwardLoop } from "../evaluation/forward-loop";
import type { ForwardLoop, PostProcessFunction, RunContext } from "../evaluation/types";
import { orAbandoned, throwIfAborted } from "../util/abort";
import { refusal } from "../util/rules";
import { baseConfigRules, requireOneDataPath, rules, type SearchConfig } from "./config";

/** Options of `BaseSearcher.constructForwardLoop`. */
export interface ConstructForwardLoopOptions {
  /** Draw nothing on the terminal. Events are sent all the same. Default true. */
  silent?: boolean;
  /** Text beside a progress bar on standard error; null (the default) draws no bar. */
  progressBarMsg?: string | null;
  /** At most so many batches; null (the default) takes the config's `maxIterDataLoader`. */
  maxIterDataLoader?: number | null;
  /** Called with each batch's output and the batch; false (the default) for none. */
  postProcessFn?: PostProcessFunction | false;
}

/** The searcher's part in its forward loop. */
export interface ForwardLoopHost {
  /** What the loop and the functions it calls are given, where the loop's caller gives nothing else. */
  context: RunContext;
  /** Called when the loop starts. */
  onStart(): void;
}

/**
 * Makes a function that runs a model over the config's data: its `dataLoader` through `collectFunc`, or its
 * `forwardLoop`. Null when the config has neither.
 *
 * @throws `ERR_CONFIG_VALUE` when the config has both, or when an option is of the wrong type
 */
export function constructForwardLoop(
  config: SearchConfig,
  options: ConstructForwardLoopOptions,
  host: ForwardLoopHost,
): ForwardLoop | null {
  const { progressBarMsg = null, maxIterDataLoader = null, postProcessFn = false } = options;
  const { dataLoader, forwardLoop, collectFunc } = config;
  requireOneDataPath(config);
  if (postProcessFn !== false && !rules.func.accepts(postProcessFn)) {
    const rule = { ...rules.func, expected: "a function or false" };
    throw new TorchSearchError("ERR_CONFIG_VALUE", refusal(rule, "postProcessFn", postProcessFn));
  }
  const maxBatches = maxIterDataLoader ?? config.maxIterDataLoader;
  if (!baseConfigRules.maxIterDataLoader.accepts(maxBatches)) {
    throw new TorchSearchError(
      "ERR_CONFIG_VALUE",
      refusal(baseConfigRules.maxIterDataLoader, "maxIterDataLoader", maxBatches),
    );
  }
  if (dataLoader !== null) {
    return async (model, context) => {
      host.onStart();
      await runForwardLoop(model, dataLoader, {
        ...host.context,
        ...context,
        collectFunc,
        maxBatches,
        progressBarMsg,
        postProcess: postProcessFn,
      });
    };
  }
  if (forwardLoop !== null) {
    return async (model, context) => {
      host.onStart();
      const full = { ...host.context, ...context };
      throwIfAborted(full.signal);
      try {
        await orAbandoned(forwardLoop(model, full), full.signal);
      } catch (error) {
        throw wrapFailure(error, full.signal, "ERR_FORWARD_LOOP_FAILED", "forwardLoop");
      }
      throwIfAborted(full.signal);
    };
  }
  return null;
}

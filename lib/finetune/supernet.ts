import { createHash } from "node:crypto";
import { type DataSource, isDataSource } from "../data/data-source";
import { beginTraining, type TrainingShare } from "../distributed/shared-training";
import { TorchSearchError } from "../errors";
import { scoreOf } from "../evaluation/failures";
import { runForwardLoop } from "../evaluation/forward-loop";
import { exclusively } from "../evaluation/model-guard";
import type { ScoreFunction } from "../evaluation/types";
import { Module } from "../model/module";
import { createSupernetTrainer } from "../native/trainer";
import { SearchSpace } from "../space/search-space";
import type { SubnetConfig } from "../space/types";
import { expected } from "../util/check";
import { suggestion } from "../util/nearest";
import { type CompleteOptions, nativeOptions, outputSettings } from "./options";
import { readSupernetOptions, type SupernetOptions } from "./supernet-options";
import { resultOf, type TrainingResult } from "./training-result";
import { TrainingRun } from "./training-run";
import { type EpochRecord, lengthOf } from "./training-state";

/** The outcome of training a supernet. */
export interface SupernetResult extends TrainingResult {
  /** A loss is the sum over the subnets of a step. */
  epochs: EpochRecord[];
  /** The smallest subnet that was trained. */
  smallest: SubnetConfig;
}

/**
 * Trains the weights that all subnets of a space share, natively and in place. Subnets then need no training of their
 * own. Each step takes one batch through the largest subnet, which learns from the targets, and through the smallest one
 * and `randomSubnets` others, which learn from the largest one's output (the sandwich rule with in-place distillation: Yu
 * and Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV 2019; dropout in the largest subnet
 * only: Yu et al., "BigNAS", ECCV 2020). It changes the weights by the sum of their gradients.
 *
 * Batch norms take the batch's statistics; the running ones in the module are those of the largest subnet. Each subnet
 * needs its own. A subnet that is scored here gets them from `recalibrationBatches`, as does the selected one after
 * training. Searchers do the same for each candidate.
 *
 * Everything random (the samples' order, the subnets, dropout) follows from `seed` and the number of the step. Training
 * that is resumed from its `checkpoint` therefore ends with the same bits as an uninterrupted run, on a CPU with the same
 * number of threads. The selection stays as it is. An error leaves the weights as it does in `finetune()`.
 *
 * @param space made by `convert()` in the mode `autonas` or `fastnas`. Its module has the trained weights too, and saves
 *   them. Convert that module later with `importance: "none"`
 * @param data batches, whose first element is the model's input and whose second one is the target
 * @throws `ERR_CONFIG_VALUE`, `ERR_UNKNOWN_CONFIG_KEY`, `ERR_ARGUMENT`, `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE`;
 *   `ERR_HYPERPARAMETER` for a space to which hyperparameters were added; `ERR_NO_PARAMETERS`, `ERR_DTYPE` for weights of
 *   half precision; `ERR_EMPTY_LOADER`, `ERR_BATCH`, `ERR_SCORE_INPUT` for targets that don't fit; `ERR_GRADIENT`,
 *   `ERR_LOSS_NAN`, `ERR_SCORE_NAN`, `ERR_SCORE_FAILED`; `ERR_CHECKPOINT_…`; `ERR_GROUP_…`; `ERR_BUSY`, `ERR_CLOSED`, `ERR_ABORTED`
 *
 * @example
 * ```ts
 * const supernet = await convert(module, "autonas", dummyInput);
 * await trainSupernet(supernet, data, { steps: 2, randomSubnets: 1 });
 * await module.save("supernet.pt");
 * ```
 */
export async function trainSupernet(
  space: SearchSpace,
  data: DataSource,
  given: SupernetOptions | null = null,
): Promise<SupernetResult> {
  if (!(space instanceof SearchSpace)) throw expected("ERR_ARGUMENT", "a SearchSpace", "space", space);
  if (!isDataSource(data)) throw expected("ERR_ARGUMENT", "batches", "data", data);
  requireWidthsOnly(space);
  const options = readSupernetOptions(given);
  const { alpha, temperature, randomSubnets, scoreFunc, signal } = options;
  const smallest = smallestOf(space, options.smallest);
  const scored = (options.scored ?? [space.fullConfig, smallest]).map((config) =>
    completed(space, config, space.fullConfig, "scored"),
  );
  const length = lengthOf(data, options);
  return exclusively(space, async () => {
    const module = Module.wrap(space.native.module());
    const names = module.namedParameters().map(({ name }) => name);
    const native = { ...nativeOptions(options, length.totalSteps, names), alpha, temperature };
    const widths = space.nativeWidths(smallest);
    const trainer = await createSupernetTrainer(
      space.native,
      { ...native, random: randomSubnets, smallest: widths },
      { signal },
    );
    const found = await module.fingerprint({ signal });
    try {
      const settings = {
        ...native,
        ...outputSettings(options),
        loss: options.loss,
        randomSubnets,
        smallest,
        choices: digestOfChoices(space),
        epochs: length.epochs,
        shuffle: options.shuffle,
        ...(scoreFunc && { scored, recalibrationBatches: options.recalibrationBatches }),
      };
      const training = { kind: "supernet", model: found, settings, data, scoreFunc } as const;
      const share = await beginTraining(options.group, training, signal);
      const run = new TrainingRun(
        {
          share,
          module,
          rate: scoreFunc && ((when) => rate(space, scoreFunc, scored, { data, options, share, when })),
          trainer,
          data,
          length,
          settings,
          annotations: {},
          needsTarget: true,
          picksOutput: true,
          lossFunc: null,
          recalibrate: false,
        },
        options,
      );
      await run.run();
      await recalibrate(space, data, options);
      return { ...resultOf(run.state, trainer), smallest };
    } finally {
      trainer.close();
      if (!space.closed) {
        const now = await module.fingerprint();
        if (now !== found) space.trainedTo(now);
      }
    }
  });
}

/**
 * Refuses hyperparameters that were added: their tensors would belong to the weights before training, and there is no
 * rule for which numbers to train with.
 */
function requireWidthsOnly({ hyperparameters }: SearchSpace): void {
  const custom = hyperparameters.find(({ kind }) => kind === "custom");
  if (custom === undefined) return;
  throw new TorchSearchError(
    "ERR_HYPERPARAMETER",
    `The space has the added hyperparameter "${custom.name}", which can't be trained: train the space first, then add it.`,
  );
}

/** Where this is the same, a seed draws the same subnets. */
function digestOfChoices({ hyperparameters }: SearchSpace): string {
  const choices = hyperparameters.map((each) => [each.name, each.choices]);
  return createHash("sha256").update(JSON.stringify(choices)).digest("hex");
}

/** The mean score of some subnets; the selection stays as it is. */
async function rate(
  space: SearchSpace,
  scoreFunc: ScoreFunction,
  configs: readonly SubnetConfig[],
  {
    data,
    options,
    share,
    when,
  }: { data: DataSource; options: CompleteOptions<SupernetOptions>; share: TrainingShare; when: string },
): Promise<number> {
  const { signal, onProgress } = options;
  const context = { signal, onProgress, silent: true };
  const selectAgain = space.captureState();
  try {
    let sum = 0;
    for (const [at, config] of configs.entries()) {
      space.select(config);
      await recalibrate(space, data, options);
      sum += await scoreOf(() => share.rate(space, scoreFunc, `${when}, subnet ${at}`, context), signal);
    }
    return sum / configs.length;
  } finally {
    if (!space.closed) selectAgain();
  }
}

/** Gives the selected subnet its own batch norm statistics. */
async function recalibrate(
  space: SearchSpace,
  data: DataSource,
  { collectFunc, recalibrationBatches, signal }: CompleteOptions<SupernetOptions>,
): Promise<void> {
  const loop = { collectFunc, maxBatches: recalibrationBatches, signal };
  await space.recalibrate(async (model) => {
    await runForwardLoop(model, data, loop);
  }, loop);
}

function smallestOf(space: SearchSpace, given: Readonly<SubnetConfig> | number | null): SubnetConfig {
  if (given === null) return space.smallestConfig;
  if (typeof given !== "number") return completed(space, given, space.smallestConfig, "smallest");
  return Object.fromEntries(
    space.hyperparameters.map(({ name, kind, choices, full }) => {
      const least = kind === "depth" ? 0 : given * full;
      return [name, choices.find((choice) => choice >= least) ?? full];
    }),
  );
}

/** A whole subnet. @throws `ERR_UNKNOWN_HYPERPARAMETER`, `ERR_CHOICE` */
function completed(
  space: SearchSpace,
  config: Readonly<SubnetConfig>,
  rest: SubnetConfig,
  option: string,
): SubnetConfig {
  const known = new Map(space.hyperparameters.map((each) => [each.name, each.choices]));
  for (const [name, value] of Object.entries(config)) {
    const choices = known.get(name);
    if (choices === undefined) {
      throw new TorchSearchError(
        "ERR_UNKNOWN_HYPERPARAMETER",
        `unknown hyperparameter "${name}" in ${option}: ${suggestion(name, [...known.keys()])}`,
      );
    }
    if (!choices.includes(value))
      throw expected("ERR_CHOICE", `one of ${choices.join(", ")}`, `${name} in ${option}`, value);
  }
  return { ...rest, ...config };
}

/** The losses by name: their titles, and the targets that each compares an output with. */

/** One row of {@link LOSS_TABLE}. */
interface LossEntry {
  /** Its name in text, such as "cross-entropy". */
  title: string;
  /**
   * The targets that the output is compared with: `labels` are whole numbers `[N]` or `[N, …]`, `values` have the
   * output's shape, and null stands for another model's output.
   */
  targets: "labels" | "values" | null;
}

/** Every loss that the addon computes; all of them are means over the samples. */
export const LOSS_TABLE = {
  /** For logits `[N, C]` or `[N, C, …]`, in nats; samples with the label -100 are left out. */
  crossEntropy: { title: "cross-entropy", targets: "labels" },
  /** The mean over all elements. */
  meanSquaredError: { title: "squared error", targets: "values" },
  /** KL(other model ‖ this model) of the softmax outputs `[N, C]`, in nats. */
  klDivergence: { title: "KL divergence", targets: null },
} as const satisfies Record<string, LossEntry>;

/** The name of a loss. */
export type LossName = keyof typeof LOSS_TABLE;

/** A loss that compares the output with targets, so that a model can be trained with it. */
export type Loss = {
  [Name in LossName]: (typeof LOSS_TABLE)[Name]["targets"] extends null ? never : Name;
}[LossName];

/** Every {@link Loss}. */
export const LOSSES = (Object.keys(LOSS_TABLE) as LossName[]).filter(
  (name): name is Loss => LOSS_TABLE[name].targets !== null,
);

/** The loss that suits the targets: labels (whole numbers) or other values. */
export function lossFor(labels: boolean): Loss {
  return labels ? "crossEntropy" : "meanSquaredError";
}

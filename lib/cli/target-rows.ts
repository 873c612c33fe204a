/** Float targets whose rows are class probabilities: one-hot labels among them. */
import { rowsSumToOne } from "../evaluation/output-scores";
import { decodeElement } from "../model/dtype";
import { Tensor } from "../model/tensor";

/** What the rows of float targets are: a 1 among zeros, probabilities that sum to 1, or any values. */
export type TargetRows = "oneHot" | "probabilities" | "values";

/** What the rows of float targets are. Only `[N, C]` with at least two columns can be other than values. */
export function rowsOf(target: Tensor): TargetRows {
  const { shape } = target;
  if (shape.length !== 2) return "values";
  const values = valuesOf(target);
  if (!rowsSumToOne(values, shape[1] as number)) return "values";
  return values.every((value) => value === 0 || value === 1) ? "oneHot" : "probabilities";
}

/** The labels of one-hot rows. */
export function labelsOf(target: Tensor): Tensor {
  const [count, columns] = target.shape as [number, number];
  const values = valuesOf(target);
  const labels = BigInt64Array.from({ length: count }, (_, row) =>
    BigInt(values.subarray(row * columns, (row + 1) * columns).indexOf(1)),
  );
  return Tensor.from(labels, [count]);
}

/** What is said of one-hot targets; null for others. Of probabilities, the score says what it does. */
export function rowsNotice(
  { rows, target }: { rows: TargetRows | null; target: string | null },
  flag: string,
): string | null {
  if (rows !== "oneHot") return null;
  return (
    `The rows of the targets "${target}" are one-hot: they are taken as class labels, for cross-entropy. ` +
    `With ${flag} meanSquaredError they are values.`
  );
}

function valuesOf(tensor: Tensor): Float64Array {
  const { dtype } = tensor;
  return Float64Array.from(tensor.data() as ArrayLike<number>, (stored) =>
    Number(decodeElement(stored, dtype)),
  );
}

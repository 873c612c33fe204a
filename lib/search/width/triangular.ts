/** Lower triangular factors of symmetric matrices, n x n by rows. */

/** Eigenvalues are kept above this share of the largest entry of the diagonal, against rounding. */
const FLOOR = 1e-14;

/** The Cholesky factor of a positive definite matrix. */
export function choleskyOf(matrix: Float64Array, n: number): Float64Array {
  const factor = new Float64Array(n * n);
  let most = 0;
  for (let i = 0; i < n; i++) most = Math.max(most, matrix[i * n + i] as number);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = matrix[i * n + j] as number;
      for (let k = 0; k < j; k++) rest -= (factor[i * n + k] as number) * (factor[j * n + k] as number);
      factor[i * n + j] =
        i === j ? Math.sqrt(Math.max(rest, FLOOR * most)) : rest / (factor[j * n + j] as number);
    }
  }
  return factor;
}

/** A x. */
export function timesLower(factor: Float64Array, x: Float64Array): Float64Array {
  const n = x.length;
  return x.map((_, i) => {
    let sum = 0;
    for (let k = 0; k <= i; k++) sum += (factor[i * n + k] as number) * (x[k] as number);
    return sum;
  });
}

/** The x of A x = b. */
export function solveLower(factor: Float64Array, b: Float64Array): Float64Array {
  const n = b.length;
  const x = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let rest = b[i] as number;
    for (let k = 0; k < i; k++) rest -= (factor[i * n + k] as number) * (x[k] as number);
    x[i] = rest / (factor[i * n + i] as number);
  }
  return x;
}

/** One entry of the weighted sum of the outer products of vectors with themselves. */
export function quadratic(
  weights: Float64Array,
  vectors: readonly Float64Array[],
  i: number,
  j: number,
): number {
  let sum = 0;
  for (let k = 0; k < vectors.length; k++) {
    const vector = vectors[k] as Float64Array;
    sum += (weights[k] as number) * (vector[i] as number) * (vector[j] as number);
  }
  return sum;
}

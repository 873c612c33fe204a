#include "core/reconstruction/least_squares.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace torchsearch {

namespace {

// The mean of |D x|^2 for inputs of these products.
double meanSquare(const at::Tensor& matrix, const at::Tensor& products) {
  return at::mul(at::matmul(matrix, products), matrix).sum().item<double>();
}

at::Tensor square(const at::Tensor& products, const at::Tensor& rows, const at::Tensor& columns) {
  return products.index_select(0, rows).index_select(1, columns);
}

}  // namespace

LeastSquares leastSquares(const at::Tensor& matrix, const at::Tensor& products, const at::Tensor& means,
                          const at::Tensor& kept, double damping) {
  const at::Tensor stays =
      at::zeros({matrix.size(1)}, kept.options().dtype(at::kBool)).index_fill(0, kept, 1);
  const at::Tensor dropped = stays.logical_not().nonzero().squeeze(1);
  const at::Tensor lost = matrix.index_select(1, dropped);
  const at::Tensor spread = means.defined() ? products - at::outer(means, means) : products;

  LeastSquares found;
  found.weights = matrix.index_select(1, kept);
  if (means.defined()) found.shift = at::zeros({matrix.size(0)}, matrix.options());
  const double whole = meanSquare(matrix, products);
  if (whole <= 0) return found;
  found.before = meanSquare(lost, square(products, dropped, dropped)) / whole;
  found.after = found.before;

  at::Tensor damped = square(spread, kept, kept).clone();
  at::Tensor diagonal = damped.diagonal();
  diagonal += damping * diagonal.mean();
  const auto [lower, info] = at::linalg_cholesky_ex(damped);
  // Not positive: all that stays is always zero, or inputs are copies of each other and nothing is damped.
  if (info.item<int64_t>() != 0) return found;
  const at::Tensor share = at::cholesky_solve(square(spread, kept, dropped), lower);  // [kept, dropped]
  const at::Tensor weights = found.weights + at::matmul(lost, share.t());
  const at::Tensor missed = matrix.index_add(1, kept, weights, -1);
  const double after = meanSquare(missed, spread) / whole;
  if (!(after <= found.before)) return found;  // rounding, or a NaN
  found.after = std::max(0.0, after);
  found.weights = weights;
  if (means.defined()) found.shift = at::matmul(missed, means);
  return found;
}

}  // namespace torchsearch

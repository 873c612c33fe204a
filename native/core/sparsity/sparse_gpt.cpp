#include "core/sparsity/sparse_gpt.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace torchsearch {

namespace {

// The Hessian with its damping: positive definite, where the options and the data let it be.
at::Tensor damped(const at::Tensor& products, double damping) {
  at::Tensor hessian = products.clone();
  at::Tensor diagonal = hessian.diagonal(0, 1, 2);
  const at::Tensor dead = diagonal == 0;
  const at::Tensor live = dead.logical_not().sum(1, /*keepdim=*/true);
  const at::Tensor mean = diagonal.sum(1, /*keepdim=*/true) / live.clamp_min(1);
  const at::Tensor unit = at::where(live == 0, at::ones_like(mean), mean);
  // Dead inputs have nothing but this on their diagonal.
  diagonal.add_(unit * damping);
  if (damping == 0) diagonal.add_(unit * dead * 1e-6);
  return hessian;
}

// The upper factor U of U^T U = H^-1: its row j says how column j's error is made up for by those right of
// it.
at::Tensor inverseFactor(const at::Tensor& hessian, const std::string& layer) {
  const auto refuse = [&] {
    throw Error("ERR_HESSIAN",
                "The Hessian of '" + layer +
                    "' can't be inverted: too few different inputs were seen. Give more calibration "
                    "data, or raise hessianDamping.");
  };
  const auto [lower, info] = at::linalg_cholesky_ex(hessian);
  if (info.ne(0).any().item<bool>()) refuse();
  const auto [upper, upperInfo] = at::linalg_cholesky_ex(at::cholesky_inverse(lower), /*upper=*/true);
  if (upperInfo.ne(0).any().item<bool>() || !upper.isfinite().all().item<bool>()) refuse();
  return upper;
}

// How many of the first `columns` columns' weights go when, of all, `keep` stay: spread evenly, rounded.
int64_t prunedUpTo(int64_t columns, const at::Tensor& matrix, int64_t keep) {
  const double share = static_cast<double>(columns) / static_cast<double>(matrix.size(2));
  return std::llround(share * static_cast<double>(matrix.numel() - keep));
}

}  // namespace

SparseWeights sparseGpt(const at::Tensor& matrix, const at::Tensor& products, const SparsityPlan& plan,
                        const SparseGptOptions& options, const std::string& layer,
                        const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  const at::Tensor factor = inverseFactor(damped(products, options.damping), layer);
  cancel.throwIfCancelled();
  at::Tensor weights = matrix.clone();
  at::Tensor mask = at::ones_like(matrix, matrix.options().dtype(at::kBool));
  const int64_t columns = matrix.size(2);
  int64_t blockSize = std::min(options.blockSize, columns);
  if (plan.structured()) blockSize = (blockSize + plan.m - 1) / plan.m * plan.m;
  for (int64_t begin = 0; begin < columns; begin += blockSize) {
    cancel.throwIfCancelled();
    const int64_t width = std::min(blockSize, columns - begin);
    at::Tensor block = weights.narrow(2, begin, width);
    at::Tensor kept = mask.narrow(2, begin, width);
    const at::Tensor inner = factor.narrow(1, begin, width).narrow(2, begin, width);
    const at::Tensor diagonal = inner.diagonal(0, 1, 2);  // [groups, width]
    if (!plan.structured()) {
      const int64_t count =
          prunedUpTo(begin + width, matrix, plan.keep) - prunedUpTo(begin, matrix, plan.keep);
      const at::Tensor scores = (block / diagonal.unsqueeze(1)).square();
      kept.copy_(lowest(scores.flatten(), count).logical_not_().reshape(kept.sizes()));
    }
    at::Tensor errors = at::empty_like(block);
    for (int64_t i = 0; i < width; ++i) {
      if (plan.structured() && i % plan.m == 0) {
        const at::Tensor scores =
            (block.narrow(2, i, plan.m) / diagonal.narrow(1, i, plan.m).unsqueeze(1)).square();
        kept.narrow(2, i, plan.m).copy_(lowestOfEach(scores, plan.m - plan.n).logical_not_());
      }
      at::Tensor column = block.select(2, i);  // [groups, rows]
      const at::Tensor gone = kept.select(2, i).logical_not();
      const at::Tensor error = (column * gone) / diagonal.narrow(1, i, 1);
      // Of this column, too, which leaves it zero but for rounding.
      block.narrow(2, i, width - i)
          .sub_(error.unsqueeze(2) * inner.select(1, i).narrow(1, i, width - i).unsqueeze(1));
      column.masked_fill_(gone, 0);
      errors.select(2, i).copy_(error);
    }
    const int64_t end = begin + width;
    if (end < columns) {
      const at::Tensor outer = factor.narrow(1, begin, width).narrow(2, end, columns - end);
      weights.narrow(2, end, columns - end).sub_(at::bmm(errors, outer));
    }
  }
  return {weights, mask};
}

double outputError(const at::Tensor& matrix, const at::Tensor& sparse, const at::Tensor& products) {
  const at::NoGradGuard noGrad;
  const auto energy = [&](const at::Tensor& rows) {
    return (at::bmm(rows, products) * rows).sum().item<double>();
  };
  const double whole = energy(matrix);
  return whole > 0 ? std::max(0.0, energy(matrix - sparse)) / whole : 0.0;
}

}  // namespace torchsearch

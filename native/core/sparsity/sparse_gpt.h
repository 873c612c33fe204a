#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "core/base/cancel.h"
#include "core/sparsity/mask.h"

namespace torchsearch {

struct SparseGptOptions {
  int64_t blockSize = 128;  // columns whose masks are chosen at once; raised to a multiple of the plan's m
  double damping = 0.01;    // added to the Hessian's diagonal, as a share of its mean
};

struct SparseWeights {
  at::Tensor weights;  // [groups, rows, columns], zero where the mask is false
  at::Tensor mask;     // true: stays
};

// SparseGPT (Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
// ICML 2023, Algorithm 1): columns are pruned from left to right, and the error that each makes in the
// layer's outputs is made up for by the columns right of it, as the inverse Hessian says (optimal brain
// surgeon).
//
// `matrix` [groups, rows, columns] and `products`, the mean of x x^T [groups, columns, columns], in float64.
// Inputs that are always zero count as if they were tiny and independent, so that their weights go first and
// nothing is made up for with them. ERR_HESSIAN where the damped Hessian can't be inverted, naming `layer`;
// ERR_ABORTED between blocks.
SparseWeights sparseGpt(const at::Tensor& matrix, const at::Tensor& products, const SparsityPlan& plan,
                        const SparseGptOptions& options, const std::string& layer, const CancelToken& cancel);

// |x (w - v)^T|^2 / |x w^T|^2 over all inputs: which share of a layer's outputs, in squares, sparse weights v
// miss; 0 where the outputs are zero.
double outputError(const at::Tensor& matrix, const at::Tensor& sparse, const at::Tensor& products);

}  // namespace torchsearch

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/forward/fusion_plan.h"
#include "core/forward/prepared_program.h"

namespace torchsearch {

// How a chain computes its product.
enum class StepKernel : uint8_t {
  kPlain,     // LibTorch's own operator, on folded weights
  kPacked,    // oneDNN's, on weights reordered beforehand, with what follows in the same pass
  kWinograd,  // ours, on weights transformed beforehand (see winograd.h), likewise
};

// oneDNN's fused operators, where this LibTorch has them and they are not switched off.
bool hasPackedKernels();

// Weights reordered for oneDNN. `input` are the sizes of what they will be applied to.
at::Tensor packConvolution(const FusedChain& chain, const at::Tensor& weight, int64_t groups,
                           const std::vector<int64_t>& input);
at::Tensor packLinear(const at::Tensor& weight, int64_t rows);

// What a chain's step is made of beside the chain.
struct StepParts {
  at::Tensor weight;  // folded, and packed where the kernel wants it
  at::Tensor bias;
  int64_t groups = 1;
  std::optional<Layout> layout;  // that the result is brought to, if one is given
  // Brings the input of a plain convolution to its usual order first: in channels-last order LibTorch's own
  // operator runs the same kernels of oneDNN as the packed one does.
  bool contiguous = false;
};

std::unique_ptr<PreparedStep> makeStep(const FusedChain& chain, StepKernel kernel, StepParts parts);

// The tensor itself when it lies in memory like this, else a copy that does.
at::Tensor inLayout(const at::Tensor& tensor, Layout layout);

}  // namespace torchsearch

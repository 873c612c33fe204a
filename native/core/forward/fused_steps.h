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

// The step of a chain, given its folded, and perhaps packed, weights. The result is brought to `layout`, if
// one is given.
std::unique_ptr<PreparedStep> makeStep(const FusedChain& chain, StepKernel kernel, at::Tensor weight,
                                       at::Tensor bias, int64_t groups, std::optional<Layout> layout);

// The tensor itself when it lies in memory like this, else a copy that does.
at::Tensor inLayout(const at::Tensor& tensor, Layout layout);

}  // namespace torchsearch

#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace torchsearch {

// How a convolution lays its kernel over its input; one entry a spatial dimension.
struct ConvolutionArguments {
  std::vector<int64_t> stride;
  std::vector<int64_t> before;  // zeros added at the beginning
  std::vector<int64_t> after;   // and at the end
  std::vector<int64_t> dilation;
  int64_t groups = 1;
  bool transposed = false;
};

// From the arguments of aten::conv1d to conv3d, aten::_convolution and its siblings.
ConvolutionArguments readConvolution(const c10::FunctionSchema& schema,
                                     const std::vector<c10::IValue>& arguments, const at::Tensor& weight);

// Calls `visit` with the windows that the kernel sees, as matrices [groups, positions, columns] in the order
// of a WeightMatrix' columns and in float64, each of at most about `bytes`.
void forEachWindowMatrix(const at::Tensor& input, const at::Tensor& weight,
                         const ConvolutionArguments& convolution, int64_t bytes,
                         const std::function<void(const at::Tensor&)>& visit);

}  // namespace torchsearch

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace torchsearch {

// How a layer's weight multiplies its inputs: per group, a matrix of one row an output and one column an
// input. A convolution's columns run over the kernel's positions, and within each over the group's input
// channels, so that N:M groups are of channels, which is what implicit matrix products on N:M hardware read
// in a row.
struct WeightMatrix {
  enum class Kind : uint8_t {
    kConvolution,  // [outputs, channels / groups, kernel...]
    kLinear,       // [outputs, inputs]
    kProduct,      // [inputs, outputs], as in x @ w
  };
  Kind kind = Kind::kLinear;
  int64_t groups = 1;

  // The weight as [groups, rows, columns], in float64 where it isn't boolean.
  at::Tensor matrixOf(const at::Tensor& weight) const;
  // The way back: of a matrix, to a tensor of the shape of `like`, contiguous, with the matrix's own dtype.
  at::Tensor tensorOf(const at::Tensor& matrix, const at::Tensor& like) const;
  // How many columns of one row stand beside each other: an N:M group must not reach over their end.
  int64_t runLength(const at::Tensor& weight) const;
};

}  // namespace torchsearch

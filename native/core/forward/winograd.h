#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>

namespace torchsearch {

// Convolutions with kernels of 3 x 3 and stride 1 by Winograd's minimal filtering F(4 x 4, 3 x 3) (A. Lavin
// and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016), with the points 0, +-sqrt(1/2),
// +-sqrt(2) and infinity, which round less than whole numbers: a quarter of the multiplications, in float32,
// channels last. Each output is computed by the same operations in the same order whatever the number of
// threads.

// Whether this processor has what it takes: x86-64 with AVX2 and FMA, or AVX-512.
bool hasWinograd();

// Whether it pays for this convolution: a rule of sizes alone. `height` and `width` are the output's.
bool winogradPays(int64_t batch, int64_t inputs, int64_t outputs, int64_t height, int64_t width);

// Weights [outputs, inputs, 3, 3] made ready, four times as large. They fit this processor only.
at::Tensor packWinograd(const at::Tensor& weight);

struct WinogradArguments {
  int64_t padding = 0;                                  // on all sides: 0 or 1
  float low = -std::numeric_limits<float>::infinity();  // the result is brought to [low, high]
  float high = std::numeric_limits<float>::infinity();
};

// input [N, inputs, H, W], bias [outputs], and `other`, which may be undefined, of the result's sizes: all
// float32. Gives input * weight + bias + other, channels last.
at::Tensor winogradConvolution(const at::Tensor& input, const at::Tensor& packed, const at::Tensor& bias,
                               const at::Tensor& other, const WinogradArguments& arguments);

}  // namespace torchsearch

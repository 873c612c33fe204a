#pragma once

#include <ATen/core/Tensor.h>

#include "core/quantization/number_format.h"

namespace torchsearch {

// The grid that numbers are rounded to. One scale for a tensor, for each index of a dimension, or for each
// block of consecutive elements within such an index.
struct QuantParameters {
  at::Tensor scale;      // float32 [1], [channels] or [blocks]
  at::Tensor zeroPoint;  // int32 of the same shape; undefined for float types
  int64_t axis = -1;     // the channels' dimension; -1 where the whole tensor shares a scale
  int64_t block = 0;     // elements of a block; 0 for none
};

// The grid for values from `low` to `high` (float32 [n]). Zero is always on it, and every range is widened to
// hold it; scales are at least float32's epsilon. Integers as in torch.ao.quantization's observers:
// symmetric, scale = max(-low, high) / ((qmax - qmin) / 2); affine, scale = (high - low) / (qmax - qmin) and
// zero point = qmin - round(low / scale). Floats: scale = max(-low, high) / the format's largest number.
// ERR_CALIBRATION_NAN where a range is not finite.
QuantParameters gridOver(const NumberFormat& format, const at::Tensor& low, const at::Tensor& high);

// Rounds to the grid and gives the result in the tensor's own dtype: what a forward with real quantized
// numbers computes with. Computes in float32.
at::Tensor fakeQuantize(const at::Tensor& tensor, const NumberFormat& format,
                        const QuantParameters& parameters);

// A tensor as rows that share a scale each: one, its channels along `axis`, or blocks of these. Blocks that
// do not divide a channel evenly become whole channels.
struct QuantRows {
  QuantRows(const at::Tensor& tensor, const NumberFormat& format, int64_t axis);

  at::Tensor rows;    // float32 [n, elements]
  int64_t axis = -1;  // as in QuantParameters
  int64_t block = 0;
};

// The grid of a tensor that is known whole, such as a weight. `axis` is the dimension of its channels.
QuantParameters calibrate(const at::Tensor& tensor, const NumberFormat& format, int64_t axis);

// Shares of the full range that Calibration::kMse tries, in descending order: 1, 0.99, ... 0.2.
inline constexpr int kMseSteps = 81;
inline double mseShare(int step) {
  return 1.0 - 0.01 * step;
}

}  // namespace torchsearch

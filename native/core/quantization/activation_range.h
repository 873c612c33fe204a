#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/quantization/number_format.h"

namespace torchsearch {

// What values a tensor takes over many batches, learnt in one pass: their smallest and largest, and a
// histogram whose bins double in width, two becoming one, when a value does not fit. Widths are powers of
// two, so that the histogram does not depend on the order of the batches.
class ActivationRange {
 public:
  // ERR_CALIBRATION_NAN for values that are not finite.
  void add(const at::Tensor& values);
  bool empty() const { return total_ == 0; }

  // Lower and upper end for a format, by its calibration. A quantile is interpolated within its bin; a
  // squared error is summed over the bins' middles. ERR_NOT_CALIBRATED when nothing was added.
  std::pair<double, double> endsFor(const NumberFormat& format) const;

 private:
  static constexpr int kHalf = 4096;  // bins on either side of zero
  static constexpr int kUnset = std::numeric_limits<int>::min();

  void widen(int exponent);
  double quantile(double share) const;
  double quantileOfMagnitude(double share) const;
  std::pair<double, double> smallestError(const NumberFormat& format) const;

  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
  int exponent_ = kUnset;  // bins are 2^exponent wide
  int64_t total_ = 0;
  std::vector<int64_t> bins_;
};

}  // namespace torchsearch

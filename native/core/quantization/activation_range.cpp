#include "core/quantization/activation_range.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/quantization/fake_quantize.h"

namespace torchsearch {

void ActivationRange::add(const at::Tensor& values) {
  if (values.numel() == 0) return;
  const at::Tensor x = values.detach().to(at::kFloat).cpu().contiguous();
  const auto [least, most] = at::aminmax(x);
  const double low = least.item<float>();
  const double high = most.item<float>();
  if (!std::isfinite(low) || !std::isfinite(high)) {
    throw Error("ERR_CALIBRATION_NAN",
                "An activation is no finite number on the calibration data. Check the model and the data for "
                "NaN and infinity.");
  }
  low_ = std::min(low_, low);
  high_ = std::max(high_, high);
  const double largest = std::max(std::abs(low), std::abs(high));
  // 2^(ilogb + 1) is above the value, and kHalf bins reach it.
  const int needed = largest > 0 ? std::ilogb(largest) + 1 - std::ilogb(kHalf) : -200;
  if (exponent_ == kUnset) {
    bins_.assign(2 * kHalf, 0);
    exponent_ = needed;
  } else if (needed > exponent_) {
    widen(needed);
  }
  const double scale = std::ldexp(1.0, -exponent_);
  const float* data = x.const_data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); ++i) ++bins_[static_cast<int>(std::floor(data[i] * scale)) + kHalf];
  total_ += x.numel();
}

// Bin i of the wider ones covers bins 2i and 2i + 1 of those before, also below zero.
void ActivationRange::widen(int exponent) {
  const int shift = std::min(exponent - exponent_, 30);
  std::vector<int64_t> wider(2 * kHalf, 0);
  for (int i = 0; i < 2 * kHalf; ++i) wider[((i - kHalf) >> shift) + kHalf] += bins_[i];
  bins_ = std::move(wider);
  exponent_ = exponent;
}

double ActivationRange::quantile(double share) const {
  const double wanted = share * static_cast<double>(total_);
  double below = 0;
  for (int i = 0; i < 2 * kHalf; ++i) {
    const auto count = static_cast<double>(bins_[i]);
    if (count > 0 && below + count >= wanted) {
      const double place = i - kHalf + std::max(0.0, (wanted - below) / count);
      return std::clamp(std::ldexp(place, exponent_), low_, high_);
    }
    below += count;
  }
  return high_;
}

double ActivationRange::quantileOfMagnitude(double share) const {
  const double wanted = share * static_cast<double>(total_);
  double below = 0;
  for (int i = 0; i < kHalf; ++i) {
    const auto count = static_cast<double>(bins_[kHalf + i] + bins_[kHalf - 1 - i]);
    if (count > 0 && below + count >= wanted) {
      const double place = std::ldexp(i + (wanted - below) / count, exponent_);
      return std::min(place, std::max(-low_, high_));
    }
    below += count;
  }
  return std::max(-low_, high_);
}

std::pair<double, double> ActivationRange::smallestError(const NumberFormat& format) const {
  const auto bins = at::from_blob(const_cast<int64_t*>(bins_.data()), {2 * kHalf}, at::kLong);
  const at::Tensor used = bins.nonzero().squeeze(1);
  const at::Tensor counts = bins.index_select(0, used).to(at::kDouble);
  const at::Tensor middles =
      ((used - kHalf).to(at::kDouble) + 0.5).mul(std::ldexp(1.0, exponent_)).to(at::kFloat);
  double best = std::numeric_limits<double>::infinity();
  double share = 1;
  for (int step = 0; step < kMseSteps; ++step) {
    const auto grid = gridOver(format, at::full({1}, low_ * mseShare(step), at::kFloat),
                               at::full({1}, high_ * mseShare(step), at::kFloat));
    const at::Tensor errors = (fakeQuantize(middles, format, grid) - middles).to(at::kDouble).square();
    const double error = (errors * counts).sum().item<double>();
    if (error < best) {
      best = error;
      share = mseShare(step);
    }
  }
  return {low_ * share, high_ * share};
}

std::pair<double, double> ActivationRange::endsFor(const NumberFormat& format) const {
  if (empty()) {
    throw Error("ERR_NOT_CALIBRATED",
                "Activations can't be quantized before they are calibrated: give the search a dataLoader, or "
                "call space.calibrate(data).");
  }
  const at::NoGradGuard noGrad;
  switch (format.calibration) {
    case Calibration::kMax:
      return {low_, high_};
    case Calibration::kMeanSquaredError:
      return smallestError(format);
    case Calibration::kPercentile:
      break;
  }
  const double share = format.percentile / 100;
  if (format.hasZeroPoint()) return {quantile(1 - share), quantile(share)};
  const double bound = quantileOfMagnitude(share);
  return {-bound, bound};
}

}  // namespace torchsearch

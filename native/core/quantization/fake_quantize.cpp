#include "core/quantization/fake_quantize.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace torchsearch {

namespace {

at::ScalarType storageOf(NumberType type) {
  return type == NumberType::kE5M2 ? at::kFloat8_e5m2 : at::kFloat8_e4m3fn;
}

// The scale of rows along `axis`, shaped to multiply the tensor.
at::Tensor broadcast(const at::Tensor& scale, int64_t axis, int64_t rank) {
  if (axis < 0) return scale;
  std::vector<int64_t> shape(rank, 1);
  shape[axis] = scale.numel();
  return scale.reshape(shape);
}

at::Tensor roundToFloat8(const at::Tensor& x, const NumberFormat& format, const at::Tensor& scale) {
  const at::Tensor bound = scale * format.limit();
  const at::Tensor clamped = at::clamp(x, -bound, bound);
  return (clamped / scale).to(storageOf(format.type)).to(at::kFloat) * scale;
}

at::Tensor roundWhole(const at::Tensor& x, const NumberFormat& format, const QuantParameters& p) {
  if (!format.isInt()) return roundToFloat8(x, format, broadcast(p.scale, p.axis, x.dim()));
  if (p.axis < 0) {
    return at::fake_quantize_per_tensor_affine(x, p.scale, p.zeroPoint, format.lowest(), format.highest());
  }
  return at::fake_quantize_per_channel_affine(x, p.scale, p.zeroPoint, p.axis, format.lowest(),
                                              format.highest());
}

using Range = std::pair<at::Tensor, at::Tensor>;

Range quantiles(const at::Tensor& rows, const NumberFormat& format) {
  // Linear interpolation between the two nearest elements, as numpy.quantile does by default.
  const auto at = [](const at::Tensor& sorted, double share) {
    const double place = share * static_cast<double>(sorted.size(1) - 1);
    const auto below = static_cast<int64_t>(std::floor(place));
    const int64_t above = std::min(below + 1, sorted.size(1) - 1);
    const at::Tensor low = sorted.select(1, below);
    return low + (sorted.select(1, above) - low) * (place - static_cast<double>(below));
  };
  const double share = format.percentile / 100;
  if (!format.hasZeroPoint()) {
    const at::Tensor bound = at(std::get<0>(rows.abs().sort(1)), share);
    return {-bound, bound};
  }
  const at::Tensor sorted = std::get<0>(rows.sort(1));
  return {at(sorted, 1 - share), at(sorted, share)};
}

// For each row the share of its range with the smallest squared error; the larger one of two as good.
Range smallestError(const at::Tensor& rows, const NumberFormat& format, const Range& full) {
  at::Tensor best;
  at::Tensor share;
  for (int step = 0; step < kMseSteps; ++step) {
    QuantParameters grid = gridOver(format, full.first * mseShare(step), full.second * mseShare(step));
    grid.axis = 0;
    const at::Tensor error = (roundWhole(rows, format, grid) - rows).square().sum(1, false, at::kDouble);
    if (step == 0) {
      best = error;
      share = at::ones_like(full.first);
      continue;
    }
    const at::Tensor better = error < best;
    best = at::where(better, error, best);
    share.masked_fill_(better, mseShare(step));
  }
  return {full.first * share, full.second * share};
}

}  // namespace

QuantParameters gridOver(const NumberFormat& format, const at::Tensor& low, const at::Tensor& high) {
  if (!low.isfinite().all().item<bool>() || !high.isfinite().all().item<bool>()) {
    throw Error("ERR_CALIBRATION_NAN",
                "Weights or activations that a quantizer is calibrated by are no finite numbers. Check the "
                "model and the calibration data for NaN and infinity.");
  }
  constexpr double kLeast = std::numeric_limits<float>::epsilon();
  const at::Tensor below = low.clamp_max(0);
  const at::Tensor above = high.clamp_min(0);
  QuantParameters grid;
  if (!format.isInt()) {
    grid.scale = (at::maximum(-below, above) / format.limit()).clamp_min(kLeast);
    return grid;
  }
  const auto steps = static_cast<double>(format.highest() - format.lowest());
  if (format.symmetric) {
    grid.scale = (at::maximum(-below, above) / (steps / 2)).clamp_min(kLeast);
    grid.zeroPoint = at::zeros(grid.scale.sizes(), grid.scale.options().dtype(at::kInt));
  } else {
    grid.scale = ((above - below) / steps).clamp_min(kLeast);
    grid.zeroPoint = (static_cast<double>(format.lowest()) - at::round(below / grid.scale))
                         .clamp(format.lowest(), format.highest())
                         .to(at::kInt);
  }
  return grid;
}

at::Tensor fakeQuantize(const at::Tensor& tensor, const NumberFormat& format, const QuantParameters& p) {
  const at::Tensor x = tensor.to(at::kFloat);
  if (p.block == 0) return roundWhole(x, format, p).to(tensor.scalar_type());
  const at::Tensor moved = x.movedim(p.axis, 0);
  QuantParameters rows = p;
  rows.axis = 0;
  const at::Tensor rounded = roundWhole(moved.reshape({-1, p.block}), format, rows);
  return rounded.reshape(moved.sizes()).movedim(0, p.axis).to(tensor.scalar_type());
}

QuantRows::QuantRows(const at::Tensor& tensor, const NumberFormat& format, int64_t along) {
  const at::Tensor x = tensor.detach().to(at::kFloat);
  if (format.granularity == Granularity::kTensor || x.dim() == 0) {
    rows = x.reshape({1, -1});
    return;
  }
  axis = along;
  const at::Tensor channels = x.movedim(along, 0).reshape({x.size(along), -1});
  if (format.granularity == Granularity::kBlock && channels.size(1) % format.blockSize == 0) {
    block = format.blockSize;
    rows = channels.reshape({-1, block});
  } else {
    rows = channels;
  }
}

QuantParameters calibrate(const at::Tensor& tensor, const NumberFormat& format, int64_t axis) {
  const at::NoGradGuard noGrad;
  const QuantRows by(tensor, format, axis);
  Range range;
  if (format.calibration == Calibration::kPercentile) {
    range = quantiles(by.rows, format);
  } else {
    range = {by.rows.amin(1), by.rows.amax(1)};
    if (format.calibration == Calibration::kMeanSquaredError) range = smallestError(by.rows, format, range);
  }
  QuantParameters grid = gridOver(format, range.first, range.second);
  grid.axis = by.axis;
  grid.block = by.block;
  return grid;
}

}  // namespace torchsearch

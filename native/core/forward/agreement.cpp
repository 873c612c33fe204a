#include "core/forward/agreement.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace torchsearch {
namespace {

// What a forward may differ in for rounding alone: narrow weights are views in a search space, of other
// strides.
struct Tolerance {
  double relative;
  double absolute;
};

Tolerance toleranceOf(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
    case at::kComplexDouble:
      return {1e-9, 1e-9};
    case at::kHalf:
      return {1e-2, 1e-3};
    case at::kBFloat16:
      return {5e-2, 1e-2};
    default:
      return {1e-4, 1e-5};
  }
}

}  // namespace

bool agrees(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes() || actual.scalar_type() != expected.scalar_type()) return false;
  if (actual.numel() == 0) return true;
  if (!at::isFloatingType(expected.scalar_type()) && !at::isComplexType(expected.scalar_type())) {
    return at::equal(actual, expected);
  }
  const at::Tensor a =
      actual.to(at::isComplexType(expected.scalar_type()) ? at::kComplexDouble : at::kDouble);
  const at::Tensor e = expected.to(a.scalar_type());
  const auto [relative, absolute] = toleranceOf(expected.scalar_type());
  // Relative to the largest element: in a sum that cancels out, small ones carry the rounding of large ones.
  const at::Tensor magnitudes = e.abs();
  const at::Tensor finite = at::where(magnitudes.isfinite(), magnitudes, at::zeros_like(magnitudes));
  const double allowed = relative * finite.max().item<double>() + absolute;
  return at::allclose(a, e, /*rtol=*/0, allowed, /*equal_nan=*/true);
}

bool agree(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
  return std::equal(actual.begin(), actual.end(), expected.begin(), expected.end(), agrees);
}

}  // namespace torchsearch

#include "core/importance/slice_sums.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace torchsearch {

namespace {

constexpr int64_t kElementsAtOnce = int64_t{1} << 18;  // 2 MB of float64: stays in a core's cache

}  // namespace

std::vector<std::vector<double>> sliceSums(at::IntArrayRef sizes, c10::Device device,
                                           const std::vector<int64_t>& dimensions, const FillRowsFn& fill) {
  std::vector<std::vector<double>> sums;
  for (const int64_t dimension : dimensions) sums.emplace_back(sizes[dimension], 0.0);
  const int64_t elements = c10::multiply_integers(sizes);
  if (elements == 0 || dimensions.empty()) return sums;
  std::vector<int64_t> others;  // a kernel's sizes, say
  for (int64_t d = 1; d < static_cast<int64_t>(sizes.size()); ++d) {
    if (std::find(dimensions.begin(), dimensions.end(), d) == dimensions.end()) others.push_back(d);
  }
  const int64_t step = std::clamp<int64_t>(kElementsAtOnce / (elements / sizes[0]), 1, sizes[0]);
  std::vector<int64_t> shape = sizes.vec();
  shape[0] = step;
  const at::Tensor scratch = at::empty(shape, at::TensorOptions(at::kDouble).device(device));
  for (int64_t begin = 0; begin < sizes[0]; begin += step) {
    at::Tensor piece = scratch.narrow(0, 0, std::min(step, sizes[0] - begin));
    fill(begin, piece);
    if (!others.empty()) piece = piece.sum(others, /*keepdim=*/true);
    for (size_t k = 0; k < dimensions.size(); ++k) {
      std::vector<int64_t> rest;
      for (int64_t d = 0; d < piece.dim(); ++d) {
        if (d != dimensions[k] && piece.size(d) != 1) rest.push_back(d);
      }
      const at::Tensor sum = (rest.empty() ? piece : piece.sum(rest)).flatten().cpu().contiguous();
      const double* values = sum.const_data_ptr<double>();
      const int64_t offset = dimensions[k] == 0 ? begin : 0;
      for (int64_t i = 0; i < sum.numel(); ++i) sums[k][offset + i] += values[i];
    }
  }
  return sums;
}

}  // namespace torchsearch

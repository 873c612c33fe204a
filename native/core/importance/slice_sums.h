#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace torchsearch {

// Writes rows `begin` to `begin + rows.size(0)` along dimension 0 of what is to be summed into `rows`
// (float64).
using FillRowsFn = std::function<void(int64_t begin, at::Tensor& rows)>;

// For each of `dimensions` of a tensor of these sizes on `device`, the sum at each index over all the other
// dimensions. Works on a small piece at a time.
std::vector<std::vector<double>> sliceSums(at::IntArrayRef sizes, c10::Device device,
                                           const std::vector<int64_t>& dimensions, const FillRowsFn& fill);

}  // namespace torchsearch

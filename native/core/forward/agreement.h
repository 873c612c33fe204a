#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace torchsearch {

// Whether two ways to compute one output agree up to the rounding of its dtype.
bool agrees(const at::Tensor& actual, const at::Tensor& expected);
// The same of as many outputs.
bool agree(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected);

}  // namespace torchsearch

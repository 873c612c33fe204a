#pragma once

#include <ATen/core/Tensor.h>

namespace torchsearch {

// Whether two ways to compute one output agree up to the rounding of its dtype.
bool agrees(const at::Tensor& actual, const at::Tensor& expected);

}  // namespace torchsearch

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "core/forward/executor.h"
#include "core/graph/dependency.h"

namespace torchsearch {

// A weight that is normalized, g v / |v|, would grow when inputs of v are dropped. Where a subnet's
// `bindings` drop some, its magnitudes g become g |v'| / |v|, v' being what is left of v: so the weights that
// stay are what they are in the whole model. Rows of v' that hold nothing but zeros become ones, of magnitude
// 0. `whole` gives a slot's tensor in the whole model. Gradients pass.
void keepWeightNorms(const Program& program, const Dependencies& dependencies,
                     const std::vector<int64_t>& widths, const std::function<at::Tensor(SlotId)>& whole,
                     Bindings& bindings);

}  // namespace torchsearch

#pragma once

#include <torch/script.h>

#include <cstdint>
#include <vector>

#include "core/graph/program.h"
#include "core/quantization/layer_quantizers.h"

namespace torchsearch {

// A copy of `module`, with weights of its own, whose layers round what they read to the formats chosen for
// them (by layer; kUnquantized for none): operators of fake quantization stand before theirs, in the inlined
// forward. Scales and zero points are buffers of a submodule "quantizers", named after the layers. Gradients
// pass the rounding as if it weren't there, and are zero where a value was cut off (the straight-through
// estimator; Bengio et al., 2013). `weights` are the layers' weights, as their operators read them.
torch::jit::Module exportQuantizedModule(const torch::jit::Module& module, const Program& program,
                                         LayerQuantizers& quantizers, const std::vector<int64_t>& chosen,
                                         const std::vector<at::Tensor>& weights);

}  // namespace torchsearch

#pragma once

#include <torch/script.h>

#include <map>
#include <string>

namespace torchsearch {

// A copy of `module` with tensors of its own, whose parameters are trained where the module's are.
torch::jit::Module deepCopyOf(const torch::jit::Module& module);

// A copy of `module` with each mask (by the path of the parameter that it belongs to) as a boolean buffer
// `<parameter>_mask`, and a forward, inlined, that multiplies the parameter by it wherever it reads it:
// training the copy leaves the zeros. Nothing is shared. ERR_EXPORT
torch::jit::Module withMasks(const torch::jit::Module& module,
                             const std::map<std::string, at::Tensor>& masks);

}  // namespace torchsearch

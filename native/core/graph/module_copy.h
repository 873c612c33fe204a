#pragma once

#include <torch/script.h>

#include <unordered_map>

namespace torchsearch {

using TensorReplacements = std::unordered_map<const c10::TensorImpl*, at::Tensor>;

// Puts other tensors in the place of a module's attributes, submodules included; one that has several names
// gets the same one under each.
void replaceTensors(const torch::jit::Module& module, const TensorReplacements& replacements);

// Removes all methods but the module's own forward: once that is inlined and rewritten, what the others
// compute is something else.
void removeMethods(const torch::jit::Module& module);

}  // namespace torchsearch

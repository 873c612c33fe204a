#pragma once

#include <torch/script.h>

#include <set>
#include <string>
#include <unordered_map>

namespace torchsearch {

using TensorReplacements = std::unordered_map<const c10::TensorImpl*, at::Tensor>;

// Puts other tensors in the place of a module's attributes, submodules included; one that has several names
// gets the same one under each.
void replaceTensors(const torch::jit::Module& module, const TensorReplacements& replacements);

// Removes the methods of all submodules, and those of the module itself but the ones of these names.
void removeMethodsBut(const torch::jit::Module& module, const std::set<std::string>& kept);

}  // namespace torchsearch

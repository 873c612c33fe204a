#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <cstdint>

namespace torchsearch {

// Whether the graph returns what an output of an If is, as it is or within a tuple, list or dict.
bool isReturned(const torch::jit::Node* choice, size_t output);

}  // namespace torchsearch

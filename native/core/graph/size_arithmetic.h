#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace torchsearch {

// Arithmetic that a trace may do on sizes wrapped as tensors.
bool mayBeSizeArithmetic(const torch::jit::Node* node);

// Whether a node's tensors are numbers, and nothing but sizes comes of them.
bool isSizeArithmetic(const torch::jit::Node* node);

}  // namespace torchsearch

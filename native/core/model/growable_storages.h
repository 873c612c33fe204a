#pragma once

#include <torch/script.h>

namespace torchsearch {

// Lets the memory of a module's tensors, and of its code's constants, be resized. As they come from a file,
// it can't be: an operator that is told to write its result there (`out=`) changes the tensor's shape first,
// fails then, and leaves a tensor that reaches beyond its memory.
void makeStoragesGrowable(const torch::jit::Module& module);

}  // namespace torchsearch

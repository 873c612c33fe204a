#pragma once

#include <torch/csrc/jit/frontend/tree_views.h>

namespace torchsearch {

// Whether the types that LibTorch infers for a function's variables stay small. `t = (t0, t0)` doubles a
// type, and forty such lines make one that takes all memory; `t = (t0,)`, some thousand times, one that
// overflows the stack. What a call gives has the type that the called function declares.
bool hasSmallTypes(const torch::jit::Def& function);

}  // namespace torchsearch

#pragma once

#include <torch/csrc/jit/ir/ir.h>

namespace torchsearch {

// A trace gives `narrow` a start that follows from a size as a tensor. Makes it the number that it is, in
// branches and loops too, so that such a cut is understood, and followed, like that of any slice.
void numberNarrowStarts(torch::jit::Graph& graph);

}  // namespace torchsearch

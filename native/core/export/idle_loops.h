#pragma once

#include "core/graph/dependent_nodes.h"

namespace torchsearch {

// Whether a loop can go once nothing reads what it gives: none of `staying` is in it, and it writes neither
// attributes nor lists that something outside of it uses.
bool isIdle(const torch::jit::Node* loop, const NodeSet& staying);

}  // namespace torchsearch

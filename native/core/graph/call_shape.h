#pragma once

#include <string>

#include "core/call/forwardable.h"
#include "core/graph/inlined_graph.h"

namespace torchsearch {

// Shapes and dtypes of a call's tensors, and its other arguments, as text: inputs that agree in this are
// served by one recorded program. ERR_INPUT where they do not fit the graph.
std::string shapeKey(const InlinedGraph& graph, const Inputs& inputs);

}  // namespace torchsearch

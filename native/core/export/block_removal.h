#pragma once

#include <torch/script.h>

#include <vector>

#include "core/graph/inlined_graph.h"
#include "core/graph/residual_blocks.h"

namespace torchsearch {

// Takes the residual blocks whose `kept` is false out of `module`, whose inlined forward is `target`,
// numbered as the graph that `program` was recorded from; the blocks are the program's. The sums become what
// is left of them, what computed the rest goes from the graph, and parameters, buffers and submodules that
// only it used go from the module. All other names stay. `target` knows its nodes no more afterwards.
void removeBlocks(const torch::jit::Module& module, const InlinedGraph& target, const Program& program,
                  const ResidualBlocks& blocks, const std::vector<bool>& kept);

// What would stay in a graph, and so in an exported file, that lost all its blocks, although nothing needs
// it: it stands in a container with something else, or in a branch that was not taken. Such a thing costs
// what it costs whichever blocks are left out.
Leftovers leftoversWithoutBlocks(const torch::jit::Module& module, const Program& program,
                                 const ResidualBlocks& blocks);

}  // namespace torchsearch

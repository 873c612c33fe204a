#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/graph/fixed_branches.h"

namespace torchsearch {

using NodeSet = std::unordered_set<const torch::jit::Node*>;

struct DependentNodes {
  NodeSet nodes;               // those given, and all that depend on them, in every branch
  bool reachesOutput = false;  // the graph returns what depends on them
};

// What depends on the nodes' outputs, as a value or as a condition. Does not go through `barriers`, nor into
// the blocks `never`.
DependentNodes dependentNodes(const std::vector<const torch::jit::Node*>& sources, const NodeSet& barriers,
                              const BlockSet& never = {});

// The `barriers` that use what the node gives, or what is computed from it without passing a barrier, also
// where that is written into another tensor. Does not go into the blocks `never`.
struct DirectUsers {
  NodeSet nodes;
  std::set<std::pair<const torch::jit::Node*, size_t>> inputs;  // of those nodes: which take it
  bool reachesOutput = false;
};
DirectUsers directUsers(const torch::jit::Node* node, const NodeSet& barriers, const BlockSet& never);

// Whether the node is in one of the blocks, at any depth.
bool isWithin(const torch::jit::Node* node, const BlockSet& blocks);

}  // namespace torchsearch

#include "core/graph/fixed_branches.h"

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace attr = torch::jit::attr;

FixedBranches::FixedBranches(torch::jit::Graph& graph) : paths_(graph) {
  findAssigned(graph.block());
}

void FixedBranches::findAssigned(Block* block) {
  for (Node* node : block->nodes()) {
    for (Block* inner : node->blocks()) findAssigned(inner);
    if (node->kind() != prim::SetAttr) continue;
    if (const auto path = paths_.attributeOf(node)) assigned_.insert(*path);
  }
}

bool FixedBranches::isFixed(const Value* condition) const {
  const Node* node = condition->node();
  if (node->kind() == prim::Constant) return true;
  if (node->kind() != prim::GetAttr || node->s(attr::name) == "training") return false;
  const auto path = paths_.attributeOf(node);
  return path && assigned_.count(*path) == 0;
}

std::vector<Node*> FixedBranches::around(const Node* node) const {
  std::vector<Node*> choices;
  const Block* block = node->owningBlock();
  while (const Node* owner = block->owningNode()) {
    if (owner->kind() == prim::If && isFixed(owner->inputs()[0])) choices.push_back(const_cast<Node*>(owner));
    block = owner->owningBlock();
  }
  return choices;
}

BlockSet FixedBranches::besides(const Node* node) const {
  BlockSet holding;
  for (const Block* block = node->owningBlock(); block->owningNode() != nullptr;
       block = block->owningNode()->owningBlock()) {
    holding.insert(block);
  }
  BlockSet others;
  for (const Node* choice : around(node)) {
    for (const Block* block : choice->blocks()) {
      if (holding.count(block) == 0) others.insert(block);
    }
  }
  return others;
}

}  // namespace torchsearch

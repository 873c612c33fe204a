#include "core/graph/fixed_branches.h"

#include <algorithm>
#include <unordered_set>

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace attr = torch::jit::attr;
namespace aten = torch::jit::aten;

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

bool FixedBranches::isFixed(const Value* value) const {
  const Node* node = value->node();
  if (node->kind() == prim::Constant) return true;
  if (node->kind() == prim::GetAttr) {
    if (node->s(attr::name) == "training") return false;
    const auto path = paths_.attributeOf(node);
    return path && assigned_.count(*path) == 0;
  }
  const auto areFixed = [&](at::ArrayRef<const Value*> values) {
    return std::all_of(values.begin(), values.end(), [&](const Value* each) { return isFixed(each); });
  };
  // "self.flag and self.turn is not None": a choice between conditions.
  if (node->kind() == prim::If) {
    const size_t place = value->offset();
    return isFixed(node->inputs()[0]) && isFixed(node->blocks()[0]->outputs()[place]) &&
           isFixed(node->blocks()[1]->outputs()[place]);
  }
  if (node->kind() == prim::unchecked_cast) return isFixed(node->inputs()[0]);
  static const std::unordered_set<c10::Symbol> identities = {aten::__is__, aten::__isnot__};
  static const std::unordered_set<c10::Symbol> comparisons = {
      aten::__not__, aten::__and__, aten::__or__, aten::eq, aten::ne, aten::lt, aten::le, aten::gt, aten::ge};
  // Whether an attribute is None stays; what a tensor holds does not.
  if (identities.count(node->kind()) > 0) return areFixed(node->inputs());
  if (comparisons.count(node->kind()) == 0) return false;
  return areFixed(node->inputs()) &&
         std::none_of(node->inputs().begin(), node->inputs().end(),
                      [](const Value* input) { return input->type()->isSubtypeOf(*c10::TensorType::get()); });
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

#include "core/graph/dependent_nodes.h"

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;

namespace {

class Walk {
 public:
  Walk(const NodeSet& barriers, const BlockSet& never) : barriers_(barriers), never_(never) {}

  DependentNodes from(const std::vector<const Node*>& sources) {
    for (const Node* node : sources) reach(node);
    follow();
    return std::move(found_);
  }

  DirectUsers usersOf(const Node* node) {
    for (const Value* output : node->outputs()) reach(output);
    follow();
    return {std::move(met_), found_.reachesOutput};
  }

 private:
  void follow() {
    while (!pending_.empty()) {
      const Value* value = pending_.back();
      pending_.pop_back();
      for (const auto& use : value->uses()) visit(use.user, use.offset);
    }
  }

  void reach(const Value* value) {
    if (values_.insert(value).second) pending_.push_back(value);
  }

  // The node, all its outputs, and whatever its blocks hold.
  void reach(const Node* node) {
    if (barriers_.count(node) > 0) {
      met_.insert(node);
      return;
    }
    if (!found_.nodes.insert(node).second) return;
    for (const Value* output : node->outputs()) reach(output);
    for (const Block* block : node->blocks()) {
      for (const Value* input : block->inputs()) reach(input);
      for (const Node* inner : block->nodes()) reach(inner);
    }
  }

  void visit(const Node* user, size_t offset) {
    if (!never_.empty() && isWithin(user, never_)) return;
    switch (user->kind()) {
      case prim::Return:
        return returned(user->owningBlock()->owningNode(), offset);
      case prim::Loop:
        if (offset < 2) return reach(user);
        reach(user->blocks()[0]->inputs()[offset - 1]);
        return reach(user->outputs()[offset - 2]);
      default:
        reachWrittenLists(user);
        return reach(user);
    }
  }

  // "devices.append(weight.device)": what is read from the list later on depends on it too.
  void reachWrittenLists(const Node* node) {
    const auto* schema = node->maybeSchema();
    if (schema == nullptr || barriers_.count(node) > 0) return;
    for (size_t i = 0; i < node->inputs().size() && i < schema->arguments().size(); ++i) {
      const auto* alias = schema->arguments()[i].alias_info();
      const bool isTensor = node->inputs()[i]->type()->kind() == c10::TypeKind::TensorType;
      if (alias != nullptr && alias->isWrite() && !isTensor) reach(node->inputs()[i]);
    }
  }

  void returned(const Node* owner, size_t offset) {
    if (owner == nullptr) {
      found_.reachesOutput = true;
    } else if (owner->kind() == prim::If) {
      reach(owner->outputs()[offset]);
    } else if (offset == 0) {
      reach(owner);  // a loop's condition
    } else {
      reach(owner->outputs()[offset - 1]);
      reach(owner->blocks()[0]->inputs()[offset]);
    }
  }

  const NodeSet& barriers_;
  const BlockSet& never_;
  std::unordered_set<const Value*> values_;
  std::vector<const Value*> pending_;
  DependentNodes found_;
  NodeSet met_;  // of barriers_
};

}  // namespace

DependentNodes dependentNodes(const std::vector<const Node*>& sources, const NodeSet& barriers,
                              const BlockSet& never) {
  return Walk(barriers, never).from(sources);
}

DirectUsers directUsers(const Node* node, const NodeSet& barriers, const BlockSet& never) {
  return Walk(barriers, never).usersOf(node);
}

bool isWithin(const Node* node, const BlockSet& blocks) {
  const Block* block = node->owningBlock();
  while (blocks.count(block) == 0) {
    if (block->owningNode() == nullptr) return false;
    block = block->owningNode()->owningBlock();
  }
  return true;
}

}  // namespace torchsearch

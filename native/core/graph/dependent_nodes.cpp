#include "core/graph/dependent_nodes.h"

#include <torch/csrc/jit/ir/constants.h>

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;

namespace {

class Walk {
 public:
  enum class Writes : uint8_t { kOfLists, kAll };  // what is followed into what it is written to

  Walk(const NodeSet& barriers, const BlockSet& never, Writes writes)
      : barriers_(barriers), never_(never), writes_(writes) {}

  DependentNodes from(const std::vector<const Node*>& sources) {
    for (const Node* node : sources) reach(node);
    follow();
    found_.nodes.merge(tuples_);
    return std::move(found_);
  }

  DirectUsers usersOf(const Node* node) {
    for (const Value* output : node->outputs()) reach(output);
    follow();
    return {std::move(met_), std::move(inputs_), found_.reachesOutput};
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
      case prim::TupleConstruct:
        return visitTuple(user, offset);
      case prim::Loop:
        if (offset < 2) return reach(user);
        reach(user->blocks()[0]->inputs()[offset - 1]);
        return reach(user->outputs()[offset - 2]);
      default:
        if (barriers_.count(user) > 0) inputs_.emplace(user, offset);
        reachWritten(user);
        return reach(user);
    }
  }

  // What is taken from a tuple by its place depends on nothing else in there.
  void visitTuple(const Node* tuple, size_t element) {
    tuples_.insert(tuple);
    for (const auto& use : tuple->output()->uses()) {
      if (!never_.empty() && isWithin(use.user, never_)) continue;
      if (use.user->kind() == prim::TupleUnpack) {
        reach(use.user->outputs()[element]);
        continue;
      }
      const auto index = use.user->kind() == prim::TupleIndex
                             ? torch::jit::constant_as<int64_t>(use.user->inputs()[1])
                             : std::nullopt;
      const auto count = static_cast<int64_t>(tuple->inputs().size());
      if (!index) {
        reach(tuple->output());
      } else if ((*index + count) % count == static_cast<int64_t>(element)) {
        reach(use.user->output());
      }
    }
  }

  // "devices.append(weight.device)": what is read from the list later on depends on it too.
  void reachWritten(const Node* node) {
    const auto* schema = node->maybeSchema();
    if (schema == nullptr || barriers_.count(node) > 0) return;
    for (size_t i = 0; i < node->inputs().size() && i < schema->arguments().size(); ++i) {
      const auto* alias = schema->arguments()[i].alias_info();
      const bool isTensor = node->inputs()[i]->type()->kind() == c10::TypeKind::TensorType;
      if (alias == nullptr || !alias->isWrite() || (isTensor && writes_ == Writes::kOfLists)) continue;
      reach(node->inputs()[i]);
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
  Writes writes_;
  std::unordered_set<const Value*> values_;
  std::vector<const Value*> pending_;
  DependentNodes found_;
  NodeSet tuples_;                                   // that hold what depends
  NodeSet met_;                                      // of barriers_
  std::set<std::pair<const Node*, size_t>> inputs_;  // of barriers_
};

}  // namespace

DependentNodes dependentNodes(const std::vector<const Node*>& sources, const NodeSet& barriers,
                              const BlockSet& never) {
  return Walk(barriers, never, Walk::Writes::kOfLists).from(sources);
}

DirectUsers directUsers(const Node* node, const NodeSet& barriers, const BlockSet& never) {
  return Walk(barriers, never, Walk::Writes::kAll).usersOf(node);
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

#include "core/graph/branch_outputs.h"

#include <unordered_set>
#include <vector>

namespace torchsearch {

using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;

namespace {

// The values that hold what `use` hands on; `returned` where that is the graph's result.
std::vector<const Value*> handedOn(const torch::jit::Use& use, bool& returned) {
  const Node* user = use.user;
  switch (user->kind()) {
    case prim::TupleConstruct:
    case prim::ListConstruct:
    case prim::DictConstruct:
    case prim::TupleUnpack:
    case prim::ListUnpack:
    case prim::unchecked_cast:
      return {user->outputs().begin(), user->outputs().end()};
    case prim::Loop:
      if (use.offset < 2) return {};
      return {user->outputs()[use.offset - 2], user->blocks()[0]->inputs()[use.offset - 1]};
    case prim::Return: {
      const Node* owner = user->owningBlock()->owningNode();
      if (owner == nullptr) {
        returned = true;
      } else if (owner->kind() == prim::If) {
        return {owner->outputs()[use.offset]};
      } else if (use.offset > 0) {
        return {owner->outputs()[use.offset - 1], owner->blocks()[0]->inputs()[use.offset]};
      }
      return {};
    }
    default: {
      // "outputs.append(x)", "losses['aux'] = x".
      const auto* schema = user->maybeSchema();
      if (schema == nullptr || user->inputs().empty() || use.offset == 0) return {};
      const auto kind = user->inputs()[0]->type()->kind();
      const bool holds = kind == c10::TypeKind::ListType || kind == c10::TypeKind::DictType;
      const auto* alias = schema->arguments()[0].alias_info();
      if (holds && alias != nullptr && alias->isWrite()) return {user->inputs()[0]};
      return {};
    }
  }
}

}  // namespace

bool isReturned(const Node* choice, size_t output) {
  std::unordered_set<const Value*> seen;
  std::vector<const Value*> pending = {choice->outputs()[output]};
  bool returned = false;
  while (!pending.empty() && !returned) {
    const Value* value = pending.back();
    pending.pop_back();
    if (!seen.insert(value).second) continue;
    for (const auto& use : value->uses()) {
      for (const Value* next : handedOn(use, returned)) pending.push_back(next);
    }
  }
  return returned;
}

}  // namespace torchsearch

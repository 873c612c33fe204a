#include "core/export/idle_loops.h"

#include <algorithm>

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;

namespace {

class LoopCheck {
 public:
  LoopCheck(const Node* loop, const NodeSet& staying) : body_(loop->blocks()[0]), staying_(staying) {}

  bool run() const { return allowsAll(body_); }

 private:
  bool allowsAll(const Block* block) const {
    return std::all_of(block->nodes().begin(), block->nodes().end(), [&](const Node* node) {
      if (staying_.count(node) > 0 || node->kind() == prim::SetAttr || writesOutside(node)) return false;
      return std::all_of(node->blocks().begin(), node->blocks().end(),
                         [&](const Block* inner) { return allowsAll(inner); });
    });
  }

  // Tensors are written by operators, which stay or don't.
  bool writesOutside(const Node* node) const {
    const auto* schema = node->maybeSchema();
    if (schema == nullptr) return false;
    for (size_t i = 0; i < schema->arguments().size() && i < node->inputs().size(); ++i) {
      const auto* alias = schema->arguments()[i].alias_info();
      const Value* value = node->inputs()[i];
      if (alias == nullptr || !alias->isWrite() || value->type()->kind() == c10::TypeKind::TensorType)
        continue;
      const auto& uses = value->uses();
      if (std::any_of(uses.begin(), uses.end(),
                      [&](const torch::jit::Use& use) { return !isWithin(use.user, {body_}); })) {
        return true;
      }
    }
    return false;
  }

  const Block* body_;
  const NodeSet& staying_;
};

}  // namespace

bool isIdle(const Node* loop, const NodeSet& staying) {
  return LoopCheck(loop, staying).run();
}

}  // namespace torchsearch

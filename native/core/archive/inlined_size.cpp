#include "core/archive/inlined_size.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace torchsearch {
namespace {

using torch::jit::Block;
using torch::jit::Function;
using torch::jit::Graph;
using torch::jit::Node;

uint64_t sum(uint64_t a, uint64_t b) {
  return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max() : a + b;
}

// The function that LibTorch's inliner puts in a call's place, or null.
Function* calleeOf(const Node& node) {
  if (node.inputs().empty()) return nullptr;
  const c10::TypePtr& type = node.input(0)->type();
  if (node.kind() == torch::jit::prim::CallFunction) {
    const auto function = type->cast<c10::FunctionType>();
    return function ? function->function() : nullptr;
  }
  if (node.kind() != torch::jit::prim::CallMethod) return nullptr;
  const auto cls = type->cast<c10::ClassType>();
  return cls ? cls->findMethod(node.s(torch::jit::attr::name)) : nullptr;
}

class InlinedSizes {
 public:
  uint64_t of(Function& function) {
    const torch::jit::GraphFunction* const code = torch::jit::tryToGraphFunction(function);
    if (code == nullptr) return 1;
    // Nothing calls itself: LibTorch's compiler refuses that. What is open counts as nothing.
    const auto [place, isNew] = sizes_.emplace(&function, 0);
    if (!isNew) return place->second;
    const uint64_t size = of(*code->graph());
    sizes_[&function] = size;
    return size;
  }

 private:
  uint64_t of(const Graph& graph) { return of(graph.block()); }

  uint64_t of(const Block* block) {
    uint64_t size = 0;
    for (const Node* node : block->nodes()) size = sum(size, of(*node));
    return size;
  }

  uint64_t of(const Node& node) {
    Function* const callee = calleeOf(node);
    uint64_t size = callee == nullptr ? 1 : of(*callee);
    for (const Block* inner : node.blocks()) size = sum(size, of(inner));
    for (const c10::Symbol attribute : node.attributeNames()) {
      if (node.kindOf(attribute) == torch::jit::AttributeKind::g) size = sum(size, of(*node.g(attribute)));
    }
    return size;
  }

  std::unordered_map<Function*, uint64_t> sizes_;
};

}  // namespace

uint64_t largestInlinedSize(const torch::jit::CompilationUnit& unit) {
  InlinedSizes sizes;
  uint64_t largest = 0;
  for (Function* function : unit.get_functions()) largest = std::max(largest, sizes.of(*function));
  return largest;
}

}  // namespace torchsearch

#include "core/graph/varying_numbers.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "core/graph/size_arithmetic.h"

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace aten = torch::jit::aten;

namespace {

// What another shape of a tensor doesn't change.
bool asksNoShape(const Node* node) {
  static const std::unordered_set<std::string> questions = {"aten::dim",          "aten::is_floating_point",
                                                            "aten::is_complex",   "aten::requires_grad",
                                                            "aten::__is__",       "prim::dtype",
                                                            "prim::device",       "prim::layout",
                                                            "prim::is_nested",    "aten::__isnot__",
                                                            "prim::is_cuda",      "prim::is_cpu",
                                                            "prim::is_quantized", "prim::requires_grad",
                                                            "aten::is_leaf"};
  return questions.count(node->kind().toQualString()) > 0;
}

}  // namespace

bool VaryingNumbers::varies(const Value* value) const {
  Seen seen;
  return varies(value, seen);
}

bool VaryingNumbers::elementVaries(const Value* list, int64_t element) const {
  const Node* node = list->node();
  if (node->kind() == prim::ListConstruct) {
    return element >= static_cast<int64_t>(node->inputs().size()) || varies(node->inputs()[element]);
  }
  if (node->kind() == aten::size && node->inputs().size() == 1) return sizeVaries_(node, element);
  return varies(list);
}

bool VaryingNumbers::varies(const Value* value, Seen& seen) const {
  if (!seen.insert(value).second) return false;
  const Node* node = value->node();
  if (node->kind() == prim::Constant || node->kind() == prim::GetAttr || asksNoShape(node)) return false;
  // The size of a dimension, or one element of all sizes.
  const Node* sizes = node;
  std::optional<int64_t> dimension;
  if (node->kind() == prim::ListUnpack) {
    sizes = node->input()->node();
    dimension = static_cast<int64_t>(value->offset());
  } else if (node->kind() == aten::__getitem__) {
    sizes = node->inputs()[0]->node();
    if (const auto index = torch::jit::toIValue(node->inputs()[1])) dimension = index->toInt();
  } else if (node->kind() == aten::size && node->inputs().size() == 2) {
    if (const auto index = torch::jit::toIValue(node->inputs()[1])) dimension = index->toInt();
  }
  if (sizes->kind() == aten::size) return sizeVaries_(sizes, dimension);
  if (node->kind() == prim::If) {
    if (varies(node->inputs()[0], seen)) return true;
    return std::any_of(node->blocks().begin(), node->blocks().end(),
                       [&](const Block* block) { return varies(block->outputs()[value->offset()], seen); });
  }
  if (node->kind() == prim::Loop) return loopVaries(node, value->offset(), seen);
  if (node->kind() == prim::Param) {
    const Node* owner = node->owningBlock()->owningNode();
    if (owner == nullptr || owner->kind() != prim::Loop) return true;
    // The number of the iteration comes first.
    if (value->offset() > 0) return loopVaries(owner, value->offset() - 1, seen);
    return varies(owner->inputs()[0], seen) || varies(owner->blocks()[0]->outputs()[0], seen);
  }
  if (value->type()->kind() == c10::TypeKind::TensorType && !mayBeSizeArithmetic(node)) return true;
  return std::any_of(node->inputs().begin(), node->inputs().end(),
                     [&](const Value* input) { return varies(input, seen); });
}

// A value that a loop hands on from one iteration to the next.
bool VaryingNumbers::loopVaries(const Node* loop, size_t carried, Seen& seen) const {
  return varies(loop->inputs()[0], seen) || varies(loop->inputs()[1], seen) ||
         varies(loop->inputs()[carried + 2], seen) || varies(loop->blocks()[0]->outputs()[0], seen) ||
         varies(loop->blocks()[0]->outputs()[carried + 1], seen);
}

}  // namespace torchsearch

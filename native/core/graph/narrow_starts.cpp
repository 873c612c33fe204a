#include "core/graph/narrow_starts.h"

#include <algorithm>

#include "core/graph/size_arithmetic.h"

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace aten = torch::jit::aten;

namespace {

bool isTensor(const Value* value) {
  return value->type()->kind() == c10::TypeKind::TensorType;
}

// A number in a tensor's clothes: computed from sizes and constants alone.
bool isNumber(const Value* value) {
  const Node* node = value->node();
  if (node->kind() == prim::NumToTensor) return true;
  if (!mayBeSizeArithmetic(node)) return false;
  return std::all_of(node->inputs().begin(), node->inputs().end(), [](const Value* input) {
    return !isTensor(input) || input->node()->kind() == prim::Constant || isNumber(input);
  });
}

void numberStarts(Block* block) {
  for (Node* node : block->nodes()) {
    for (Block* inner : node->blocks()) numberStarts(inner);
    if (node->kind() != aten::narrow || node->inputs().size() != 4) continue;
    Value* start = node->inputs()[2];
    if (!isTensor(start) || !isNumber(start)) continue;
    const torch::jit::WithInsertPoint before(node);
    Node* number = block->owningGraph()->create(aten::Int, {start}, 1);
    number->output()->setType(c10::IntType::get());
    block->owningGraph()->insertNode(number);
    node->replaceInput(2, number->output());
  }
}

}  // namespace

void numberNarrowStarts(torch::jit::Graph& graph) {
  numberStarts(graph.block());
}

}  // namespace torchsearch

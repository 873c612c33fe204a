#include "core/graph/size_arithmetic.h"

#include <algorithm>
#include <string>
#include <unordered_set>

namespace torchsearch {

namespace {

bool givesNumber(const torch::jit::Node* node) {
  static const std::unordered_set<std::string> names = {"aten::Int",         "aten::Float",
                                                        "aten::IntImplicit", "aten::FloatImplicit",
                                                        "aten::item",        "aten::ScalarImplicit"};
  return names.count(node->kind().toQualString()) > 0;
}

}  // namespace

bool mayBeSizeArithmetic(const torch::jit::Node* node) {
  static const std::unordered_set<std::string> names = {
      "prim::NumToTensor", "aten::floor_divide", "aten::mul", "aten::add", "aten::sub",  "aten::rsub",
      "aten::div",         "aten::remainder",    "aten::neg", "aten::to",  "aten::floor"};
  return names.count(node->kind().toQualString()) > 0;
}

bool isSizeArithmetic(const torch::jit::Node* node) {
  if (!mayBeSizeArithmetic(node)) return false;
  for (const torch::jit::Value* input : node->inputs()) {
    const bool tensor = input->type()->kind() == c10::TypeKind::TensorType;
    if (!tensor || input->node()->kind() == torch::jit::prim::Constant) continue;
    if (!mayBeSizeArithmetic(input->node())) return false;
  }
  const auto& uses = node->output()->uses();
  return !uses.empty() && std::all_of(uses.begin(), uses.end(), [](const torch::jit::Use& use) {
    return givesNumber(use.user) || isSizeArithmetic(use.user);
  });
}

}  // namespace torchsearch

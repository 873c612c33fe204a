#include "core/archive/operator_policy.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <algorithm>
#include <array>
#include <unordered_set>

namespace torchsearch {
namespace {

// Both are sorted.
constexpr std::string_view kAllowedOperators[] = {
#include "core/archive/allowed_operators.inc"
};
constexpr std::string_view kRefusedOperators[] = {
#include "core/archive/refused_operators.inc"
};
static_assert(std::is_sorted(std::begin(kAllowedOperators), std::end(kAllowedOperators)));
static_assert(std::is_sorted(std::begin(kRefusedOperators), std::end(kRefusedOperators)));

constexpr std::string_view kNativeClasses = "__torch__.torch.classes.";
// Weights that PyTorch's quantization has packed, and the cells of its recurrent layers.
constexpr std::array<std::string_view, 7> kAllowedClasses{"quantized.Conv2dPackedParamsBase",
                                                          "quantized.Conv3dPackedParamsBase",
                                                          "quantized.EmbeddingPackedParamsBase",
                                                          "quantized.LinearPackedParamsBase",
                                                          "rnn.CellParamsBase",
                                                          "quantized.Conv1dPackedParamsBase",
                                                          "quantized.ConvTransposePackedParamsBase"};

class NameCollector {
 public:
  explicit NameCollector(const std::set<std::string>& permitted) : permitted_(permitted) {}

  void visit(const torch::jit::Graph& graph) {
    for (const torch::jit::Value* input : graph.inputs()) visit(input->type());
    visit(graph.block());
  }

  void visit(const c10::TypePtr& type) {
    std::vector<c10::TypePtr> open{type};
    while (!open.empty()) {
      const c10::TypePtr current = std::move(open.back());
      open.pop_back();
      if (!current || !seen_.insert(current.get()).second) continue;
      // A type that is made on the way is kept, so that another one can't get its address.
      kept_.push_back(current);
      if (const auto cls = current->cast<c10::ClassType>()) {
        if (cls->name()) {
          const std::string name = cls->name()->qualifiedName();
          if (!isAllowedClass(name) && permitted_.count(name) == 0) found_.insert(name);
        }
        for (size_t i = 0; i < cls->numAttributes(); ++i) open.push_back(cls->getAttribute(i));
      }
      for (size_t i = 0; i < current->containedTypeSize(); ++i) open.push_back(current->containedType(i));
    }
  }

  std::vector<std::string> names() const { return {found_.begin(), found_.end()}; }

 private:
  void visit(const torch::jit::Block* block) {
    for (const torch::jit::Node* node : block->nodes()) visit(*node);
  }

  void visit(const torch::jit::Node& node) {
    const std::string name = node.kind().toQualString();
    if (!isAllowedOperator(name) && permitted_.count(name) == 0) found_.insert(name);
    for (const torch::jit::Value* output : node.outputs()) visit(output->type());
    for (const torch::jit::Block* inner : node.blocks()) visit(inner);
    for (const c10::Symbol attribute : node.attributeNames()) {
      const auto kind = node.kindOf(attribute);
      if (kind == torch::jit::AttributeKind::g) visit(*node.g(attribute));
      if (kind == torch::jit::AttributeKind::gs) {
        for (const auto& graph : node.gs(attribute)) visit(*graph);
      }
    }
  }

  const std::set<std::string>& permitted_;
  std::set<std::string> found_;
  std::unordered_set<const c10::Type*> seen_;
  std::vector<c10::TypePtr> kept_;
};

}  // namespace

bool isAllowedOperator(std::string_view name) {
  return std::binary_search(std::begin(kAllowedOperators), std::end(kAllowedOperators), name);
}

bool isRefusedOperator(std::string_view name) {
  return std::binary_search(std::begin(kRefusedOperators), std::end(kRefusedOperators), name);
}

bool isAllowedClass(std::string_view name) {
  if (!name.starts_with(kNativeClasses)) return name.starts_with("__torch__.");
  name.remove_prefix(kNativeClasses.size());
  return std::find(kAllowedClasses.begin(), kAllowedClasses.end(), name) != kAllowedClasses.end();
}

std::vector<std::string> refusedNames(const torch::jit::CompilationUnit& unit,
                                      const std::set<std::string>& permitted) {
  NameCollector collector(permitted);
  for (torch::jit::Function* function : unit.get_functions()) {
    if (auto* graphFunction = torch::jit::tryToGraphFunction(*function))
      collector.visit(*graphFunction->graph());
  }
  return collector.names();
}

}  // namespace torchsearch

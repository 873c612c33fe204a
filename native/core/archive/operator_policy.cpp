#include "core/archive/operator_policy.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "core/archive/inlined_size.h"

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

// PyTorch's own largest models come to tens of thousands. This many take LibTorch some seconds and half a
// gigabyte, in passes that nothing can stop.
constexpr uint64_t kMaxInlined = 250'000;

constexpr std::string_view kNativeClasses = "__torch__.torch.classes.";
// Weights that PyTorch's quantization has packed, and the cells of its recurrent layers.
constexpr std::array<std::string_view, 7> kAllowedClasses{"quantized.Conv2dPackedParamsBase",
                                                          "quantized.Conv3dPackedParamsBase",
                                                          "quantized.EmbeddingPackedParamsBase",
                                                          "quantized.LinearPackedParamsBase",
                                                          "rnn.CellParamsBase",
                                                          "quantized.Conv1dPackedParamsBase",
                                                          "quantized.ConvTransposePackedParamsBase"};

// What a type is made of, itself included; of classes also the attributes.
std::vector<c10::TypePtr> partsOf(const c10::TypePtr& type, bool withAttributes) {
  std::unordered_set<const c10::Type*> seen;
  std::vector<c10::TypePtr> parts;
  std::vector<c10::TypePtr> open{type};
  while (!open.empty()) {
    const c10::TypePtr current = std::move(open.back());
    open.pop_back();
    if (!current || !seen.insert(current.get()).second) continue;
    parts.push_back(current);
    for (size_t i = 0; i < current->containedTypeSize(); ++i) open.push_back(current->containedType(i));
    const auto cls = withAttributes ? current->cast<c10::ClassType>() : nullptr;
    for (size_t i = 0; cls && i < cls->numAttributes(); ++i) open.push_back(cls->getAttribute(i));
  }
  return parts;
}

// Whether objects of a class can hold objects of the same class: then a loop can make them as deep as it
// likes, and they overflow the stack when they are destroyed.
bool containsItself(const c10::ClassTypePtr& cls) {
  for (size_t i = 0; i < cls->numAttributes(); ++i) {
    for (const c10::TypePtr& part : partsOf(cls->getAttribute(i), true)) {
      if (part.get() == cls.get()) return true;
    }
  }
  return false;
}

// Likewise for values of which the type does not say what they hold.
bool holdsAny(const c10::TypePtr& type) {
  const std::vector<c10::TypePtr> parts = partsOf(type, false);
  return std::any_of(parts.begin(), parts.end(), [](const c10::TypePtr& part) {
    switch (part->kind()) {
      case c10::TypeKind::AnyType:
      case c10::TypeKind::AnyListType:
      case c10::TypeKind::AnyTupleType:
      case c10::TypeKind::AnyClassType:
      case c10::TypeKind::InterfaceType:
        return true;
      default:
        return false;
    }
  });
}

// Whether an instruction puts such a value into another value.
bool nestsAny(const torch::jit::Node& node) {
  static const std::unordered_set<std::string_view> kMakers{"prim::TupleConstruct", "prim::ListConstruct",
                                                            "prim::DictConstruct"};
  static const std::unordered_set<std::string_view> kChangers{"prim::SetAttr", "aten::append", "aten::insert",
                                                              "aten::_set_item", "aten::setdefault"};
  const std::string_view name = node.kind().toQualString();
  const size_t first = kMakers.count(name) > 0 ? 0 : kChangers.count(name) > 0 ? 1 : node.inputs().size();
  for (size_t i = first; i < node.inputs().size(); ++i) {
    if (holdsAny(node.input(i)->type())) return true;
  }
  return false;
}

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
          if (!isAllowedClass(name)) refuse(name);
        }
        if (containsItself(cls)) refuse(cls->annotation_str() + " (contains itself)");
        for (size_t i = 0; i < cls->numAttributes(); ++i) open.push_back(cls->getAttribute(i));
      }
      for (size_t i = 0; i < current->containedTypeSize(); ++i) open.push_back(current->containedType(i));
    }
  }

  void refuse(std::string name) {
    if (permitted_.count(name) == 0) found_.insert(std::move(name));
  }

  std::vector<std::string> names() const { return {found_.begin(), found_.end()}; }

 private:
  void visit(const torch::jit::Block* block) {
    for (const torch::jit::Node* node : block->nodes()) visit(*node);
  }

  void visit(const torch::jit::Node& node) {
    const std::string name = node.kind().toQualString();
    if (!isAllowedOperator(name)) refuse(name);
    if (nestsAny(node)) refuse("values of Any within values");
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
  if (largestInlinedSize(unit) > kMaxInlined) collector.refuse("calls that multiply the code");
  return collector.names();
}

}  // namespace torchsearch

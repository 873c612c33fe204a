#include "core/export/tensor_queries.h"

#include <sstream>
#include <unordered_set>

#include "core/graph/module_paths.h"
#include "core/graph/operator_traits.h"

namespace torchsearch {

using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace aten = torch::jit::aten;

namespace {

// Asks for what conversions of the module change.
bool asksForType(const Node* node) {
  static const std::unordered_set<c10::Symbol> kinds = {
      prim::dtype,      prim::device,
      prim::layout,     aten::is_floating_point,
      aten::is_complex, c10::Symbol::fromQualString("prim::is_cuda")};
  return kinds.count(node->kind()) > 0;
}

bool asksForSize(const Node* node) {
  static const std::unordered_set<c10::Symbol> kinds = {
      aten::size, aten::dim, c10::Symbol::fromQualString("aten::numel"), aten::len};
  return kinds.count(node->kind()) > 0;
}

class Answers {
 public:
  Answers(const Module& module, Graph& graph, const std::set<std::string>& removed)
      : graph_(graph), removed_(removed), paths_(graph) {
    for (const auto& item : module.named_parameters()) tensors_.emplace_back(item.name, item.value);
    for (const auto& item : module.named_buffers()) tensors_.emplace_back(item.name, item.value);
  }

  bool to(const Node* read) {
    const auto path = paths_.attributeOf(read);
    const at::Tensor* tensor = path ? tensorAt(*path) : nullptr;
    if (tensor == nullptr) return false;
    bool any = false;
    const auto uses = read->output()->uses();
    for (const auto& use : uses) {
      Node* query = use.user;
      if (asksForType(query)) {
        any = askAnother(query, 0, *tensor) || answer(query, *tensor) || any;
      } else if (const auto* schema = query->maybeSchema();
                 schema != nullptr && askedOf(*schema, use.offset) == Asked::kType) {
        any = askAnother(query, use.offset, *tensor) || any;
      } else if (asksForSize(query)) {
        any = answer(query, *tensor) || any;
      }
    }
    return any;
  }

 private:
  const at::Tensor* tensorAt(const std::string& path) const {
    for (const auto& [name, tensor] : tensors_) {
      if (name == path) return &tensor;
    }
    return nullptr;
  }

  bool askAnother(Node* query, size_t input, const at::Tensor& tensor) {
    for (const auto& [name, other] : tensors_) {
      if (removed_.count(name) > 0 || other.scalar_type() != tensor.scalar_type() ||
          other.device() != tensor.device() || other.layout() != tensor.layout()) {
        continue;
      }
      const torch::jit::WithInsertPoint insertBefore(query);
      Value* value = graph_.inputs()[0];
      std::istringstream parts(name);
      for (std::string part; std::getline(parts, part, '.');) value = graph_.insertGetAttr(value, part);
      query->replaceInput(input, value);
      return true;
    }
    return false;
  }

  bool answer(Node* query, const at::Tensor& tensor) {
    torch::jit::Stack stack = {tensor};
    for (size_t i = 1; i < query->inputs().size(); ++i) {
      const auto constant = torch::jit::toIValue(query->inputs()[i]);
      if (!constant) return false;
      stack.push_back(*constant);
    }
    query->getOperation()(stack);
    const torch::jit::WithInsertPoint insertBefore(query);
    Value* value = graph_.insertConstant(stack.at(0));
    query->output()->replaceAllUsesWith(value);
    query->destroy();
    return true;
  }

  Graph& graph_;
  const std::set<std::string>& removed_;
  ModulePaths paths_;
  std::vector<std::pair<std::string, at::Tensor>> tensors_;
};

}  // namespace

bool answerQueries(const Module& module, Graph& graph, const std::vector<const Node*>& reads,
                   const std::set<std::string>& removed) {
  Answers answers(module, graph, removed);
  bool any = false;
  for (const Node* read : reads) any = answers.to(read) || any;
  return any;
}

}  // namespace torchsearch

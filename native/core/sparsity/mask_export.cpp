#include "core/sparsity/mask_export.h"

#include <algorithm>
#include <sstream>
#include <unordered_map>
#include <vector>

#include "core/base/error.h"
#include "core/graph/extra_methods.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/module_buffers.h"
#include "core/graph/module_copy.h"
#include "core/graph/module_paths.h"

namespace torchsearch {

namespace {

using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;

constexpr const char* kSuffix = "_mask";

// By every path of a masked parameter, also those that share the tensor, its mask's path.
std::map<std::string, std::string> maskPaths(const torch::jit::Module& module,
                                             const std::map<std::string, at::Tensor>& masks) {
  std::unordered_map<const c10::TensorImpl*, std::string> byTensor;
  for (const auto& parameter : module.named_parameters()) {
    if (masks.count(parameter.name) > 0) {
      byTensor.emplace(parameter.value.unsafeGetTensorImpl(), parameter.name + kSuffix);
    }
  }
  std::map<std::string, std::string> paths;
  for (const auto& parameter : module.named_parameters()) {
    const auto found = byTensor.find(parameter.value.unsafeGetTensorImpl());
    if (found != byTensor.end()) paths.emplace(parameter.name, found->second);
  }
  return paths;
}

// After a node that reads a parameter, its product with the mask, for everything that follows.
void multiply(torch::jit::Graph& graph, Node* reads, const std::string& maskPath) {
  const torch::jit::WithInsertPoint after(reads->next());
  Value* owner = graph.inputs()[0];
  std::istringstream parts(maskPath);
  for (std::string part; std::getline(parts, part, '.');) owner = graph.insertGetAttr(owner, part);
  Value* masked = graph.insert(torch::jit::aten::mul, {reads->output(), owner});
  reads->output()->replaceAllUsesAfterNodeWith(masked->node(), masked);
}

}  // namespace

torch::jit::Module deepCopyOf(const torch::jit::Module& module) {
  const at::NoGradGuard noGrad;
  const torch::jit::Module copy = module.deepcopy();
  std::unordered_map<std::string, bool> trained;
  for (const auto& parameter : module.named_parameters()) {
    trained.emplace(parameter.name, parameter.value.requires_grad());
  }
  for (auto parameter : copy.named_parameters()) {
    parameter.value.set_requires_grad(trained.at(parameter.name));
  }
  return copy;
}

torch::jit::Module withMasks(const torch::jit::Module& module,
                             const std::map<std::string, at::Tensor>& masks) {
  // First tensors of their own, then types of their own, whose forward may be rewritten.
  const torch::jit::Module copy = deepCopyOf(module).clone(/*inplace=*/true);
  const auto paths = maskPaths(copy, masks);
  const auto target = InlinedGraph::inPlace(copy, InlinedGraph::FusedAttention::kKeep);
  std::vector<ExtraMethod> kept;
  for (auto& method : extraMethods(copy, MethodGraphs::kInPlace)) {
    const auto isMasked = [&](const std::string& path) { return paths.count(path) > 0; };
    if (method.isKnown && std::none_of(method.used.begin(), method.used.end(), isMasked)) {
      kept.push_back(std::move(method));
    }
  }
  std::map<std::string, at::Tensor> buffers;
  for (const auto& [name, mask] : masks) buffers.emplace(name + kSuffix, mask.clone());
  addBuffers(copy, target->graph(), buffers);
  removeMethods(copy, kept);
  const ModulePaths modules(target->graph());
  std::vector<std::pair<Node*, std::string>> reads;
  for (Node* node : target->nodes()) {
    if (node->kind() != prim::GetAttr) continue;
    const auto attribute = modules.attributeOf(node);
    if (!attribute) continue;
    const auto found = paths.find(*attribute);
    if (found != paths.end()) reads.emplace_back(node, found->second);
  }
  for (const auto& [node, path] : reads) multiply(target->graph(), node, path);
  return copy;
}

}  // namespace torchsearch

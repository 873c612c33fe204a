#include "core/graph/extra_methods.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <unordered_set>

#include "core/graph/module_copy.h"
#include "core/graph/module_paths.h"

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Function;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
namespace prim = torch::jit::prim;
namespace attr = torch::jit::attr;

namespace {

// What a call node calls; null where that is known only when it runs.
Function* calledBy(const Node* node) {
  if (node->kind() == prim::CallMethod) {
    const auto type = node->inputs()[0]->type()->cast<c10::ClassType>();
    return type ? type->findMethod(node->s(attr::name)) : nullptr;
  }
  if (node->kind() == prim::CallFunction) {
    const auto type = node->inputs()[0]->type()->cast<c10::FunctionType>();
    return type ? type->function() : nullptr;
  }
  return nullptr;
}

bool isCall(const Node* node) {
  return node->kind() == prim::CallMethod || node->kind() == prim::CallFunction;
}

bool callsForward(const Node* node, const Graph& graph) {
  return node->kind() == prim::CallMethod && node->inputs()[0] == graph.inputs()[0] &&
         node->s(attr::name) == "forward";
}

void findCalls(Block* block, std::vector<Node*>& calls) {
  for (Node* node : block->nodes()) {
    if (isCall(node) || node->kind() == prim::fork) calls.push_back(node);
    for (Block* inner : node->blocks()) findCalls(inner, calls);
  }
}

// Inlines every call but those of forward. Whether there is no other left.
bool inlineCalls(Graph& graph) {
  for (;;) {
    std::vector<Node*> calls;
    findCalls(graph.block(), calls);
    bool any = false;
    bool all = true;
    for (Node* node : calls) {
      if (callsForward(node, graph)) continue;
      Function* called = calledBy(node);
      auto* function = called == nullptr ? nullptr : torch::jit::tryToGraphFunction(*called);
      if (function == nullptr) {
        all = false;
        continue;
      }
      // A function is named by its first input, which is none of its own.
      if (node->kind() == prim::CallFunction) node->removeInput(0);
      torch::jit::inlineCallTo(node, function, function->graph().get());
      any = true;
    }
    if (!any) return all;
  }
}

void reach(Function* function, std::unordered_set<const Function*>& reached) {
  if (function == nullptr || !reached.insert(function).second) return;
  auto* own = torch::jit::tryToGraphFunction(*function);
  if (own == nullptr) return;
  std::vector<Node*> calls;
  findCalls(own->graph()->block(), calls);
  for (const Node* node : calls) reach(calledBy(node), reached);
}

void findUncalled(const Module& module, const std::string& path,
                  const std::unordered_set<const Function*>& reached, std::vector<std::string>& found) {
  for (const auto& child : module.named_children()) {
    const std::string name = childPath(path, child.name);
    for (const auto* method : child.value.type()->methods()) {
      // Those of PyTorch's layers are no one's business: "_conv_forward", an LSTM's "forward__1".
      const bool isOwn = method->name().starts_with("forward") || method->name().starts_with("_");
      if (!isOwn && reached.count(method) == 0) found.push_back(childPath(name, method->name()));
    }
    findUncalled(child.value, name, reached, found);
  }
}

// Modules that lost an attribute have got types of their own.
void followTypes(const Module& module, Graph& graph) {
  const ModulePaths paths(graph);
  for (const auto& [value, path] : paths.modules()) {
    if (path.empty()) continue;
    c10::IValue object = module._ivalue();
    for (size_t begin = 0; begin <= path.size();) {
      const size_t end = std::min(path.find('.', begin), path.size());
      object = object.toObjectRef().getAttr(path.substr(begin, end - begin));
      begin = end + 1;
    }
    value->setType(object.type());
  }
}

}  // namespace

std::vector<ExtraMethod> extraMethods(const Module& module, MethodGraphs graphs) {
  std::unordered_set<const Function*> serving;
  reach(module.type()->findMethod("forward"), serving);
  std::vector<ExtraMethod> methods;
  for (auto* method : module.type()->methods()) {
    if (method->name() == "forward" || method->name().starts_with("__")) continue;
    auto* function = torch::jit::tryToGraphFunction(*method);
    if (function == nullptr) continue;
    ExtraMethod extra;
    extra.name = method->name();
    extra.servesForward = method->name().starts_with("_") && serving.count(method) > 0;
    extra.graph = graphs == MethodGraphs::kCopied ? function->graph()->copy() : function->graph();
    methods.push_back(std::move(extra));
  }
  for (auto& extra : methods) {
    extra.isKnown = inlineCalls(*extra.graph);
    const ModulePaths paths(*extra.graph);
    extra.isKnown = extra.isKnown && paths.complete();
    extra.used = paths.used();
  }
  return methods;
}

std::vector<std::string> uncalledMethods(const Module& module) {
  std::unordered_set<const Function*> reached;
  for (auto* method : module.type()->methods()) reach(method, reached);
  std::vector<std::string> found;
  findUncalled(module, "", reached, found);
  return found;
}

void removeMethods(const Module& module, const std::vector<ExtraMethod>& kept) {
  std::set<std::string> names = {"forward"};
  for (const auto& method : kept) {
    names.insert(method.name);
    followTypes(module, *method.graph);
  }
  removeMethodsBut(module, names);
}

}  // namespace torchsearch

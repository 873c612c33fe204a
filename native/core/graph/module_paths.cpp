#include "core/graph/module_paths.h"

#include <sstream>

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace attr = torch::jit::attr;

namespace {

bool isModule(const Value* value) {
  const auto type = value->type()->cast<c10::ClassType>();
  return type && type->is_module();
}

}  // namespace

std::string childPath(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

ModulePaths::ModulePaths(torch::jit::Graph& graph) {
  add(graph.inputs()[0], "");
  visit(graph.block());
}

void ModulePaths::add(Value* value, const std::string& path) {
  paths_.emplace(value, path);
  modules_.emplace_back(value, path);
}

void ModulePaths::visit(Block* block) {
  for (Node* node : block->nodes()) {
    const bool reads = node->kind() == prim::GetAttr;
    if (reads || node->kind() == prim::SetAttr) {
      if (const auto path = attributeOf(node)) {
        used_.insert(*path);
        if (reads && isModule(node->output())) add(node->output(), *path);
      }
    }
    for (const Value* output : node->outputs()) {
      if (isModule(output) && paths_.count(output) == 0) complete_ = false;
    }
    for (Block* inner : node->blocks()) visit(inner);
  }
}

std::optional<std::string> ModulePaths::of(const Value* module) const {
  const auto found = paths_.find(module);
  if (found == paths_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> ModulePaths::attributeOf(const Node* node) const {
  const auto module = of(node->inputs()[0]);
  if (!module) return std::nullopt;
  return childPath(*module, node->s(attr::name));
}

std::vector<std::string> pathParts(const std::string& dotted) {
  std::vector<std::string> parts;
  std::istringstream stream(dotted);
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  return parts;
}

}  // namespace torchsearch

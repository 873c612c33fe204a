#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace torchsearch {

// Which submodule each module-typed value of an inlined graph is, by its dotted path ("" for the root).
class ModulePaths {
 public:
  explicit ModulePaths(torch::jit::Graph& graph);

  // Nothing for a value that is no module, or not one that attributes alone lead to.
  std::optional<std::string> of(const torch::jit::Value* module) const;
  // The path of the attribute that a GetAttr or SetAttr node names, where its module is known.
  std::optional<std::string> attributeOf(const torch::jit::Node* node) const;

  const std::vector<std::pair<torch::jit::Value*, std::string>>& modules() const { return modules_; }
  // The paths that the graph reads or writes.
  const std::set<std::string>& used() const { return used_; }
  // Whether every module-typed value is known.
  bool complete() const { return complete_; }

 private:
  void visit(torch::jit::Block* block);
  void add(torch::jit::Value* value, const std::string& path);

  std::unordered_map<const torch::jit::Value*, std::string> paths_;
  std::vector<std::pair<torch::jit::Value*, std::string>> modules_;
  std::set<std::string> used_;
  bool complete_ = true;
};

// "layer.0" as {"layer", "0"}.
std::vector<std::string> pathParts(const std::string& dotted);

std::string childPath(const std::string& path, const std::string& name);

}  // namespace torchsearch

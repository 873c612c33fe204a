#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/graph/module_paths.h"

namespace torchsearch {

using BlockSet = std::unordered_set<const torch::jit::Block*>;

// Choices by constants and attributes that no call changes, such as "if self.use_res_connect" or "if
// self.flag and self.turn is not None": what ran once always runs.
class FixedBranches {
 public:
  explicit FixedBranches(torch::jit::Graph& graph);

  // The choices around a node, innermost first. By mode ("if self.training") is no fixed one.
  std::vector<torch::jit::Node*> around(const torch::jit::Node* node) const;
  // For a node that ran: the blocks beside those that hold it, which never run.
  BlockSet besides(const torch::jit::Node* node) const;
  bool isFixed(const torch::jit::Value* condition) const;

 private:
  void findAssigned(torch::jit::Block* block);

  ModulePaths paths_;
  std::set<std::string> assigned_;
};

}  // namespace torchsearch

#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace torchsearch {

// The forward method of a module with every call inlined, and its nodes numbered depth first. Inlining the
// same method twice numbers alike, which is how an analysis of one copy is applied to another.
class InlinedGraph {
 public:
  enum class FusedAttention : uint8_t {
    kKeep,
    // Fused attention kernels accept no pruned widths: branches that hold one are never taken, and one that
    // stands in no branch is decomposed.
    kAvoid,
  };

  // Copies the graph, not the weights. ERR_UNSUPPORTED_GRAPH where a call can't be inlined.
  static std::shared_ptr<InlinedGraph> copyOf(const torch::jit::Module& module, FusedAttention attention);

  // Inlines `module`'s own forward in place, for rewriting it. The module must never have run.
  static std::shared_ptr<InlinedGraph> inPlace(const torch::jit::Module& module, FusedAttention attention);

  torch::jit::Graph& graph() const { return *graph_; }
  const torch::jit::Module& module() const { return module_; }
  const std::vector<torch::jit::Node*>& nodes() const { return nodes_; }
  int32_t indexOf(const torch::jit::Node* node) const { return index_.at(node); }
  int32_t valueIndexOf(const torch::jit::Value* value) const { return valueIndex_.at(value); }
  size_t valueCount() const { return valueIndex_.size(); }

  // Values whose last use within their block is this node.
  const std::vector<const torch::jit::Value*>& releasedAfter(const torch::jit::Node* node) const;

 private:
  InlinedGraph(torch::jit::Module module, std::shared_ptr<torch::jit::Graph> graph, FusedAttention attention);
  void index(torch::jit::Block* block);
  void findReleases(torch::jit::Block* block);

  torch::jit::Module module_;
  std::shared_ptr<torch::jit::Graph> graph_;
  std::vector<torch::jit::Node*> nodes_;
  std::unordered_map<const torch::jit::Node*, int32_t> index_;
  std::unordered_map<const torch::jit::Value*, int32_t> valueIndex_;
  std::vector<std::vector<const torch::jit::Value*>> releases_;
};

// Dotted path of the submodule whose code the node was inlined from ("" for the root).
std::string modulePath(const torch::jit::Node* node);

}  // namespace torchsearch

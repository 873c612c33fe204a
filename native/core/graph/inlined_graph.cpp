#include "core/graph/inlined_graph.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/graph/attention_decomposition.h"
#include "core/graph/container_attributes.h"
#include "core/graph/narrow_starts.h"

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

namespace {

bool isFusedAttention(const Node* node) {
  static const c10::Symbol attention = c10::Symbol::fromQualString("aten::_native_multi_head_attention");
  static const c10::Symbol layer = c10::Symbol::fromQualString("aten::_transformer_encoder_layer_fwd");
  return node->kind() == attention || node->kind() == layer;
}

bool holdsFusedAttention(const Block* block) {
  return std::any_of(block->nodes().begin(), block->nodes().end(), isFusedAttention);
}

// The condition's other uses must agree with the side taken: the compiler passes it on as "did return".
void avoidFusedAttention(Block* block) {
  for (Node* node : block->nodes()) {
    for (Block* inner : node->blocks()) avoidFusedAttention(inner);
    if (node->kind() != torch::jit::prim::If) continue;
    const bool inThen = holdsFusedAttention(node->blocks()[0]);
    const bool inElse = holdsFusedAttention(node->blocks()[1]);
    if (inThen == inElse) continue;
    const torch::jit::WithInsertPoint insertBefore(node);
    Value* constant = block->owningGraph()->insertConstant(!inThen);
    Value* condition = node->inputs()[0];
    condition->replaceAllUsesAfterNodeWith(constant->node(), constant);
  }
}

void refuseCalls(const Block* block) {
  for (const Node* node : block->nodes()) {
    if (node->kind() == torch::jit::prim::CallMethod || node->kind() == torch::jit::prim::CallFunction ||
        node->kind() == torch::jit::prim::fork || node->kind() == torch::jit::prim::rpc_async) {
      throw Error("ERR_UNSUPPORTED_GRAPH",
                  "The model's forward contains '" + std::string(node->kind().toQualString()) +
                      "', a call through an interface or a fork, which can't be analysed. Script the model "
                      "without module interfaces and torch.jit.fork, or trace it.");
    }
    for (const Block* inner : node->blocks()) refuseCalls(inner);
  }
}

}  // namespace

std::shared_ptr<InlinedGraph> InlinedGraph::copyOf(const torch::jit::Module& module,
                                                   FusedAttention attention) {
  auto graph = torch::jit::toGraphFunction(module.get_method("forward").function()).graph()->copy();
  return std::shared_ptr<InlinedGraph>(new InlinedGraph(module, std::move(graph), attention));
}

std::shared_ptr<InlinedGraph> InlinedGraph::inPlace(const torch::jit::Module& module,
                                                    FusedAttention attention) {
  auto graph = torch::jit::toGraphFunction(module.get_method("forward").function()).graph();
  return std::shared_ptr<InlinedGraph>(new InlinedGraph(module, std::move(graph), attention));
}

InlinedGraph::InlinedGraph(torch::jit::Module module, std::shared_ptr<Graph> graph, FusedAttention attention)
    : module_(std::move(module)), graph_(std::move(graph)) {
  torch::jit::Inline(*graph_);
  refuseCalls(graph_->block());
  readThroughContainers(module_, *graph_);
  numberNarrowStarts(*graph_);
  if (attention == FusedAttention::kAvoid) {
    avoidFusedAttention(graph_->block());
    decomposeFusedAttention(*graph_);
  }
  index(graph_->block());
  releases_.resize(nodes_.size());
  findReleases(graph_->block());
}

void InlinedGraph::index(Block* block) {
  for (const Value* input : block->inputs())
    valueIndex_.emplace(input, static_cast<int32_t>(valueIndex_.size()));
  for (Node* node : block->nodes()) {
    index_.emplace(node, static_cast<int32_t>(nodes_.size()));
    nodes_.push_back(node);
    for (const Value* output : node->outputs()) {
      valueIndex_.emplace(output, static_cast<int32_t>(valueIndex_.size()));
    }
    for (Block* inner : node->blocks()) index(inner);
  }
}

void InlinedGraph::findReleases(Block* block) {
  auto release = [&](const Value* value) {
    // Loop-carried values and block inputs are overwritten, not released: their owner runs the block again.
    const Node* last = nullptr;
    for (const auto& use : value->uses()) {
      const Node* user = use.user;
      while (user->owningBlock() != block) {
        user = user->owningBlock()->owningNode();
        if (user == nullptr) return;
      }
      if (user->kind() == torch::jit::prim::Return) return;
      if (last == nullptr || user->isAfter(last)) last = user;
    }
    if (last != nullptr) releases_[indexOf(last)].push_back(value);
  };
  for (Node* node : block->nodes()) {
    for (const Value* output : node->outputs()) release(output);
    for (Block* inner : node->blocks()) findReleases(inner);
  }
}

const std::vector<const Value*>& InlinedGraph::releasedAfter(const Node* node) const {
  return releases_[indexOf(node)];
}

std::string modulePath(const Node* node) {
  std::string path;
  if (const auto callstack = node->callstack()) {
    for (const auto& entry : (*callstack)->vec()) {
      const auto& instance = std::get<2>(entry);
      if (!instance.has_value()) continue;
      const std::string name = instance->instance_name();
      if (name.empty() || name == "SELF" || name == "INSTANCE_NAME_UNKNOWN") continue;
      path += path.empty() ? name : "." + name;
    }
  }
  // Graphs of exported programs call nothing; their scopes say which module each node comes from.
  const auto scope = const_cast<Node*>(node)->scope();  // LibTorch forgot its const
  if (path.empty() && scope && !scope->isBlank() && !scope->isRoot()) return scope->name().toUnqualString();
  return path;
}

}  // namespace torchsearch

#include "core/space/block_removal.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_set>

#include "core/graph/dependent_nodes.h"
#include "core/graph/module_paths.h"
#include "core/space/module_pruning.h"

namespace torchsearch {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = torch::jit::prim;
namespace attr = torch::jit::attr;

namespace {

class BlockRemoval {
 public:
  BlockRemoval(const torch::jit::Module& module, const InlinedGraph& target, const Program& program,
               const ResidualBlocks& blocks, const std::vector<bool>& kept)
      : module_(module), target_(target), program_(program), blocks_(blocks), kept_(kept) {}

  void run() {
    findPresent(target_.graph().block());
    findGone();
    foldBranches();
    const auto removed = removedTensors();
    const auto dependent = dependentNodes({gone_.begin(), gone_.end()}, barriers_).nodes;
    substituteSums();
    const auto graph = torch::jit::toGraphFunction(module_.get_method("forward").function()).graph();
    // What a choice hands on is free once the choice is gone; a batch norm then still counts as an effect.
    while (destroy(dependent, removed)) torch::jit::EliminateDeadCode(graph);
    torch::jit::EliminateDeadCode(graph);
    removeAttributes(module_, *graph, removed);
  }

 private:
  // A rewrite may have replaced nodes since they were numbered; what replaced them depends on what is gone
  // too.
  void findPresent(Block* block) {
    for (Node* node : block->nodes()) {
      present_.insert(node);
      for (Block* inner : node->blocks()) findPresent(inner);
    }
  }

  Node* nodeOf(int32_t instruction) const {
    return target_.nodes().at(program_.graph->indexOf(program_.instructions[instruction].node));
  }

  void findGone() {
    const auto& liveness = blocks_.liveness;
    for (size_t b = 0; b < kept_.size(); ++b) {
      if (!kept_[b] && liveness.sums[b].holds(kept_)) sums_.push_back(&blocks_.blocks[b]);
    }
    for (const auto* block : sums_) barriers_.insert(nodeOf(block->addition.instruction));
    for (int32_t i = 0; i < static_cast<int32_t>(program_.instructions.size()); ++i) {
      if (!program_.instructions[i].runs() || liveness.instructions[i].holds(kept_)) continue;
      if (std::binary_search(liveness.unread.begin(), liveness.unread.end(), i)) continue;
      Node* node = nodeOf(i);
      if (present_.count(node) > 0 && barriers_.count(node) == 0) gone_.push_back(node);
    }
  }

  // "if self.use_res_connect": the branch that such a flag never takes may use the same submodules.
  void foldBranches() {
    const FixedBranches branches(target_.graph());
    std::vector<const Node*> inside(gone_.begin(), gone_.end());
    for (const auto* block : sums_) inside.push_back(nodeOf(block->addition.instruction));
    for (const Node* node : inside) {
      for (Node* choice : branches.around(node)) fold(choice, node);
    }
  }

  // Leaves the branch that ran in place of the choice.
  static void fold(Node* choice, const Node* inside) {
    Block* ran = isWithin(inside, {choice->blocks()[0]}) ? choice->blocks()[0] : choice->blocks()[1];
    for (auto it = ran->nodes().begin(); it != ran->nodes().end();) {
      Node* node = *it++;
      node->moveBefore(choice);
    }
    for (size_t i = 0; i < choice->outputs().size(); ++i) {
      choice->outputs()[i]->replaceAllUsesWith(ran->outputs()[i]);
    }
    choice->destroy();
  }

  // Every name of the parameters and buffers that go: a shared one has several.
  std::set<std::string> removedTensors() const {
    std::set<std::string> names;
    for (size_t slot = 0; slot < program_.slots.size(); ++slot) {
      if (program_.slots[slot].isStored() && !blocks_.liveness.stored[slot].holds(kept_)) {
        names.insert(program_.slots[slot].name);
      }
    }
    std::unordered_set<const c10::TensorImpl*> tensors;
    const auto everyTensor = [&](auto&& visit) {
      for (const auto& item : module_.named_parameters()) visit(item.name, item.value.unsafeGetTensorImpl());
      for (const auto& item : module_.named_buffers()) visit(item.name, item.value.unsafeGetTensorImpl());
    };
    everyTensor([&](const std::string& name, const c10::TensorImpl* tensor) {
      if (names.count(name) > 0) tensors.insert(tensor);
    });
    everyTensor([&](const std::string& name, const c10::TensorImpl* tensor) {
      if (tensors.count(tensor) > 0) names.insert(name);
    });
    return names;
  }

  // No node that stays uses them, but exceptions, loops and counters among them count as effects, which dead
  // code elimination alone would keep, and with them what they look at. Whether there were any.
  bool destroy(const NodeSet& dependent, const std::set<std::string>& removed) {
    const ModulePaths paths(target_.graph());
    bool any = false;
    std::vector<Node*> nodes;
    collect(target_.graph().block(), dependent, paths, removed, nodes);
    for (Node* node : nodes) {
      const auto outputs = node->outputs();
      if (std::none_of(outputs.begin(), outputs.end(), [](const Value* value) { return value->hasUses(); })) {
        node->destroy();
        any = true;
      }
    }
    return any;
  }

  // Users before what they use, and what a block holds before its owner.
  static void collect(Block* block, const NodeSet& dependent, const ModulePaths& paths,
                      const std::set<std::string>& removed, std::vector<Node*>& nodes) {
    for (Node* node : block->nodes().reverse()) {
      for (Block* inner : node->blocks()) collect(inner, dependent, paths, removed, nodes);
      if (dependent.count(node) > 0 || writesRemoved(node, paths, removed)) nodes.push_back(node);
    }
  }

  static bool writesRemoved(const Node* node, const ModulePaths& paths,
                            const std::set<std::string>& removed) {
    const Node* attribute = node->kind() == prim::SetAttr ? node : writtenAttribute(node);
    if (attribute == nullptr) return false;
    const auto path = paths.attributeOf(attribute);
    return path && removed.count(*path) > 0;
  }

  // The GetAttr node whose tensor an in-place operator writes.
  static const Node* writtenAttribute(const Node* node) {
    const auto* schema = node->maybeSchema();
    if (schema == nullptr || schema->arguments().empty() || node->outputs().size() != 1) return nullptr;
    const auto* alias = schema->arguments()[0].alias_info();
    if (alias == nullptr || !alias->isWrite()) return nullptr;
    const Node* source = node->inputs()[0]->node();
    return source->kind() == prim::GetAttr ? source : nullptr;
  }

  void substituteSums() {
    for (const auto* block : sums_) {
      Node* addition = nodeOf(block->addition.instruction);
      Value* sum = addition->inputs()[block->keptArgument];
      if (const auto format = formatOf(block->substitute)) {
        Graph& graph = *addition->owningGraph();
        const torch::jit::WithInsertPoint insertBefore(addition);
        Value* memoryFormat = graph.insertConstant(*format);
        sum = graph.insert(c10::Symbol::fromQualString("aten::clone"), {sum},
                           {torch::jit::NamedValue("memory_format", memoryFormat)});
      }
      addition->output()->replaceAllUsesWith(sum);
      addition->destroy();
    }
  }

  // The memory format of the copy that stands for the sum; nothing where the kept operand itself does.
  static std::optional<c10::IValue> formatOf(ResidualBlock::Substitute substitute) {
    switch (substitute) {
      case ResidualBlock::Substitute::kCopy:
        return c10::IValue();
      case ResidualBlock::Substitute::kContiguousCopy:
        return c10::IValue(static_cast<int64_t>(at::MemoryFormat::Contiguous));
      case ResidualBlock::Substitute::kChannelsLastCopy:
        return c10::IValue(static_cast<int64_t>(at::MemoryFormat::ChannelsLast));
      default:
        return std::nullopt;
    }
  }

  const torch::jit::Module& module_;
  const InlinedGraph& target_;
  const Program& program_;
  const ResidualBlocks& blocks_;
  const std::vector<bool>& kept_;
  NodeSet present_;
  std::vector<const ResidualBlock*> sums_;  // blocks left out whose place something else takes
  NodeSet barriers_;                        // their additions
  std::vector<Node*> gone_;
};

}  // namespace

void removeBlocks(const torch::jit::Module& module, const InlinedGraph& target, const Program& program,
                  const ResidualBlocks& blocks, const std::vector<bool>& kept) {
  if (std::find(kept.begin(), kept.end(), false) == kept.end()) return;
  BlockRemoval(module, target, program, blocks, kept).run();
}

}  // namespace torchsearch

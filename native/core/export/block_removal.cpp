#include "core/export/block_removal.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/lower_tuples.h>
#include <torch/csrc/jit/passes/peephole_dict_idioms.h>
#include <torch/csrc/jit/passes/peephole_list_idioms.h>
#include <torch/csrc/jit/passes/remove_mutation.h>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_set>

#include "core/export/idle_loops.h"
#include "core/export/module_pruning.h"
#include "core/export/tensor_queries.h"
#include "core/graph/dependent_nodes.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/module_copy.h"
#include "core/graph/module_paths.h"

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
    const auto graph = torch::jit::toGraphFunction(module_.get_method("forward").function()).graph();
    // "features.append(x)": what is read of such a list would depend on all that was ever written into it.
    if (writesLists(graph->block())) {
      torch::jit::RemoveListMutation(graph);
      openContainers(graph);
    }
    findPresent(target_.graph().block());
    findGone();
    foldBranches();
    const auto removed = removedTensors();
    NodeSet dependent = guardsOf(removed);
    dependent.merge(dependentNodes({gone_.begin(), gone_.end()}, barriers_).nodes);
    substituteSums();
    clear(graph, dependent, removed);
    // "return a, b": what nothing reads any more may stand in a tuple or list beside what is read.
    if (!leftovers(removed).empty()) {
      openContainers(graph);
      clear(graph, dependent, removed);
    }
    left_ = leftovers(removed);
    removeAttributes(module_, *graph, removed);
  }

  // What the graph still computes or reads.
  const Leftovers& left() const { return left_; }

 private:
  static bool writesLists(Block* block) {
    return std::any_of(block->nodes().begin(), block->nodes().end(), [](Node* node) {
      return node->kind() == torch::jit::aten::append ||
             std::any_of(node->blocks().begin(), node->blocks().end(), writesLists);
    });
  }

  // What is read of a container becomes what was put into it.
  static void openContainers(std::shared_ptr<Graph> graph) {
    torch::jit::LowerSimpleTuples(graph);
    torch::jit::PeepholeOptimizeListIdioms(graph, /*refine_list_len=*/false);
    torch::jit::PeepholeOptimizeDictIdioms(graph);
  }

  void clear(const std::shared_ptr<Graph>& graph, const NodeSet& dependent,
             const std::set<std::string>& removed) {
    // What a choice hands on is free once the choice is gone; a batch norm then still counts as an effect.
    while (destroy(dependent, removed)) torch::jit::EliminateDeadCode(graph);
    torch::jit::EliminateDeadCode(graph);
  }

  Leftovers leftovers(const std::set<std::string>& removed) {
    Leftovers left;
    const ModulePaths paths(target_.graph());
    std::vector<const Node*> reads;
    findReads(target_.graph().block(), paths, removed, reads);
    for (const Node* node : reads) left.stored.insert(*paths.attributeOf(node));
    present_.clear();
    findPresent(target_.graph().block());
    for (const int32_t i : goneInstructions_) {
      if (present_.count(nodeOf(i)) > 0) left.instructions.insert(i);
    }
    return left;
  }

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

  static bool givesItsArgument(const Instruction& instruction) {
    return instruction.results.size() == 1 && instruction.results[0].isSlot() &&
           !instruction.arguments.empty() && instruction.arguments[0].isSlot() &&
           instruction.results[0].slot == instruction.arguments[0].slot;
  }

  void findGone() {
    const auto& liveness = blocks_.liveness;
    for (size_t b = 0; b < kept_.size(); ++b) {
      if (!kept_[b] && liveness.sums[b].holds(kept_)) sums_.push_back(&blocks_.blocks[b]);
    }
    for (const auto* block : sums_) barriers_.insert(nodeOf(block->addition.instruction));
    for (int32_t i = 0; i < static_cast<int32_t>(program_.instructions.size()); ++i) {
      if (!program_.instructions[i].runs()) continue;
      if (givesItsArgument(program_.instructions[i])) unchanged_.insert(nodeOf(i));
      if (liveness.instructions[i].holds(kept_)) {
        staying_.insert(nodeOf(i));
        continue;
      }
      if (std::binary_search(liveness.unread.begin(), liveness.unread.end(), i)) continue;
      Node* node = nodeOf(i);
      if (present_.count(node) == 0 || barriers_.count(node) > 0) continue;
      gone_.push_back(node);
      goneInstructions_.push_back(i);
      for (const Node* owner = node->owningBlock()->owningNode(); owner != nullptr;
           owner = owner->owningBlock()->owningNode()) {
        if (owner->kind() == prim::Loop) goneLoops_.insert(owner);
      }
    }
  }

  // "if self.use_res_connect": the branch that such a flag never takes may use the same submodules.
  void foldBranches() {
    const FixedBranches branches(target_.graph());
    std::vector<const Node*> inside(gone_.begin(), gone_.end());
    for (const auto* block : sums_) inside.push_back(nodeOf(block->addition.instruction));
    for (const Node* node : inside) {
      for (Node* choice : branches.around(node)) fold(choice, ranOf(choice, node));
    }
    foldConstants(target_.graph().block());
  }

  // Choices by a constant: a fused attention that is never taken reads the same weights.
  static void foldConstants(Block* block) {
    for (auto it = block->nodes().begin(); it != block->nodes().end();) {
      Node* node = *it++;
      for (Block* inner : node->blocks()) foldConstants(inner);
      if (node->kind() != prim::If) continue;
      const auto condition = torch::jit::toIValue(node->inputs()[0]);
      if (condition.has_value() && condition->isBool())
        fold(node, node->blocks()[condition->toBool() ? 0 : 1]);
    }
  }

  // The branch that holds a node which ran.
  static Block* ranOf(Node* choice, const Node* inside) {
    return isWithin(inside, {choice->blocks()[0]}) ? choice->blocks()[0] : choice->blocks()[1];
  }

  // Leaves the branch that ran in place of the choice.
  static void fold(Node* choice, Block* ran) {
    for (auto it = ran->nodes().begin(); it != ran->nodes().end();) {
      Node* node = *it++;
      node->moveBefore(choice);
    }
    for (size_t i = 0; i < choice->outputs().size(); ++i) {
      choice->outputs()[i]->replaceAllUsesWith(ran->outputs()[i]);
    }
    choice->destroy();
  }

  // What looks at removed tensors without computing with them, such as a check of their dtype, and what
  // follows from that alone. A choice that follows from it is decided: it leaves the branch that ran. Empty
  // where an operator that stays follows from it in another way: then the tensors stay too.
  NodeSet guardsOf(const std::set<std::string>& removed) const {
    for (;;) {
      const ModulePaths paths(target_.graph());
      std::vector<const Node*> reads;
      findReads(target_.graph().block(), paths, removed, reads);
      NodeSet guards = dependentNodes(reads, barriers_).nodes;
      const auto caught = std::find_if(staying_.begin(), staying_.end(),
                                       [&](const Node* node) { return guards.count(node) > 0; });
      if (caught == staying_.end()) return guards;
      Node* choice = choiceAround(*caught, guards);
      if (choice != nullptr) {
        fold(choice, ranOf(choice, *caught));
        continue;
      }
      // "x.to(self.up.weight.dtype)": another tensor, or a number, answers that.
      std::vector<const Node*> asking;
      std::copy_if(reads.begin(), reads.end(), std::back_inserter(asking), [&](const Node* read) {
        return dependentNodes({read}, barriers_).nodes.count(*caught) > 0;
      });
      if (!answerQueries(module_, target_.graph(), asking, removed)) return {};
    }
  }

  // The outermost choice among `guards` that holds the node; none where both of its branches ran.
  Node* choiceAround(const Node* node, const NodeSet& guards) const {
    const Node* found = nullptr;
    for (const Node* owner = node->owningBlock()->owningNode(); owner != nullptr;
         owner = owner->owningBlock()->owningNode()) {
      if (owner->kind() == prim::If && guards.count(owner) > 0) found = owner;
    }
    if (found == nullptr) return nullptr;
    const size_t own = isWithin(node, {found->blocks()[0]}) ? 0 : 1;
    const BlockSet other = {found->blocks()[1 - own]};
    const auto isThere = [&](const Node* ran) { return isWithin(ran, other); };
    if (std::any_of(staying_.begin(), staying_.end(), isThere)) return nullptr;
    if (std::any_of(gone_.begin(), gone_.end(), isThere)) return nullptr;
    return const_cast<Node*>(found);
  }

  static void findReads(Block* block, const ModulePaths& paths, const std::set<std::string>& removed,
                        std::vector<const Node*>& reads) {
    for (Node* node : block->nodes()) {
      for (Block* inner : node->blocks()) findReads(inner, paths, removed, reads);
      if (node->kind() != prim::GetAttr) continue;
      const auto path = paths.attributeOf(node);
      if (path && removed.count(*path) > 0) reads.push_back(node);
    }
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
  void collect(Block* block, const NodeSet& dependent, const ModulePaths& paths,
               const std::set<std::string>& removed, std::vector<Node*>& nodes) const {
    for (Node* node : block->nodes().reverse()) {
      for (Block* inner : node->blocks()) collect(inner, dependent, paths, removed, nodes);
      if (dependent.count(node) > 0 || writesRemoved(node, paths, removed) ||
          (goneLoops_.count(node) > 0 && isIdle(node, staying_))) {
        nodes.push_back(node);
      }
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
      // "x.to(torch.float32)", where x is that already: in a model of another dtype, the sum had that dtype.
      for (Value* given = beforeUnpacking(sum); changesNothing(given->node()); given = beforeUnpacking(sum)) {
        sum = given->node()->inputs()[0];
      }
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

  // What stands in the tuple that the value is unpacked from.
  static Value* beforeUnpacking(Value* value) {
    while (value->node()->kind() == prim::TupleUnpack) {
      Node* tuple = value->node()->inputs()[0]->node();
      if (tuple->kind() != prim::TupleConstruct) break;
      value = tuple->inputs()[value->offset()];
    }
    return value;
  }

  // A conversion that gave back its argument each time.
  bool changesNothing(const Node* node) const {
    static const std::unordered_set<std::string> names = {"aten::to", "aten::type_as"};
    return names.count(node->kind().toQualString()) > 0 && unchanged_.count(node) > 0;
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
  NodeSet unchanged_;                       // of instructions that give back their first argument
  NodeSet staying_;                         // of instructions that run without the blocks, too
  std::vector<const ResidualBlock*> sums_;  // blocks left out whose place something else takes
  NodeSet barriers_;                        // their additions
  std::vector<Node*> gone_;
  std::vector<int32_t> goneInstructions_;  // theirs
  NodeSet goneLoops_;                      // around them
  Leftovers left_;
};

}  // namespace

void removeBlocks(const torch::jit::Module& module, const InlinedGraph& target, const Program& program,
                  const ResidualBlocks& blocks, const std::vector<bool>& kept) {
  if (std::find(kept.begin(), kept.end(), false) == kept.end()) return;
  BlockRemoval(module, target, program, blocks, kept).run();
}

Leftovers leftoversWithoutBlocks(const torch::jit::Module& module, const Program& program,
                                 const ResidualBlocks& blocks) {
  if (blocks.blocks.empty()) return {};
  const torch::jit::Module copy = module.clone(/*inplace=*/true);
  const auto target = InlinedGraph::inPlace(copy, InlinedGraph::FusedAttention::kAvoid);
  removeMethodsBut(copy, {"forward"});
  const std::vector<bool> none(blocks.blocks.size(), false);
  BlockRemoval removal(copy, *target, program, blocks, none);
  removal.run();
  return removal.left();
}

}  // namespace torchsearch

#include "core/graph/liveness.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

#include "core/graph/dependent_nodes.h"
#include "core/graph/module_paths.h"
#include "core/graph/operator_traits.h"
#include "core/graph/storage_classes.h"

namespace torchsearch {

Condition Condition::always() {
  return allOf({});
}

Condition Condition::allOf(std::vector<int32_t> blocks) {
  Condition condition;
  condition.sets_.push_back(std::move(blocks));
  return condition;
}

bool Condition::holds(const std::vector<bool>& kept) const {
  return std::any_of(sets_.begin(), sets_.end(), [&](const std::vector<int32_t>& set) {
    return std::all_of(set.begin(), set.end(), [&](int32_t block) { return kept[block]; });
  });
}

bool Condition::needs(int32_t block) const {
  return std::all_of(sets_.begin(), sets_.end(), [&](const std::vector<int32_t>& set) {
    return std::binary_search(set.begin(), set.end(), block);
  });
}

void Condition::add(std::vector<int32_t> set) {
  for (const auto& other : sets_) {
    if (std::includes(set.begin(), set.end(), other.begin(), other.end())) return;
  }
  sets_.erase(std::remove_if(sets_.begin(), sets_.end(),
                             [&](const std::vector<int32_t>& other) {
                               return std::includes(other.begin(), other.end(), set.begin(), set.end());
                             }),
              sets_.end());
  sets_.insert(std::upper_bound(sets_.begin(), sets_.end(), set), std::move(set));
}

void Condition::either(const Condition& other) {
  if (isAlways() || &other == this) return;
  for (const auto& set : other.sets_) add(set);
}

Condition Condition::and_(int32_t block) const {
  Condition result;
  for (auto set : sets_) {
    const auto place = std::lower_bound(set.begin(), set.end(), block);
    if (place == set.end() || *place != block) set.insert(place, block);
    result.add(std::move(set));
  }
  return result;
}

namespace {

std::string ownerOf(const std::string& name) {
  const auto dot = name.rfind('.');
  return dot == std::string::npos ? std::string() : name.substr(0, dot);
}

class LivenessPass {
 public:
  LivenessPass(const Program& program, const std::vector<ResidualAddition>& additions,
               const Leftovers& leftovers)
      : program_(program),
        additions_(additions),
        leftovers_(leftovers),
        storage_(program),
        needed_(program.slots.size()) {
    for (size_t b = 0; b < additions.size(); ++b) {
      blockOf_.emplace(additions[b].instruction, static_cast<int32_t>(b));
    }
    for (size_t slot = 0; slot < program.slots.size(); ++slot) {
      members_[storage_.of(static_cast<SlotId>(slot))].push_back(static_cast<SlotId>(slot));
    }
    all_.resize(additions.size());
    std::iota(all_.begin(), all_.end(), 0);
    for (size_t i = 0; i < program.instructions.size(); ++i) {
      if (!program.instructions[i].runs()) continue;
      const auto* node = program.instructions[i].node;
      ran_.insert(node);
      instructionsOf_[node].push_back(static_cast<int32_t>(i));
    }
    if (!additions.empty()) findNeverRun();
  }

  Liveness run() {
    liveness_.instructions.assign(program_.instructions.size(), Condition::always());
    liveness_.stored.assign(program_.slots.size(), Condition::always());
    liveness_.sums.resize(additions_.size());
    forEachSlot(program_.output, [&](SlotId slot) { needed_[slot] = Condition::always(); });
    for (auto i = static_cast<int32_t>(program_.instructions.size()) - 1; i >= 0; --i) {
      if (program_.instructions[i].runs()) visit(i);
    }
    std::reverse(liveness_.unread.begin(), liveness_.unread.end());
    findStored();
    findQuestions();
    return std::move(liveness_);
  }

 private:
  // The sides of fixed choices beside those that ran.
  void findNeverRun() {
    const FixedBranches branches(program_.graph->graph());
    BlockSet seen;
    for (const auto* node : ran_) {
      if (seen.insert(node->owningBlock()).second) never_.merge(branches.besides(node));
    }
  }

  void visit(int32_t index) {
    const auto& instruction = program_.instructions[index];
    Condition condition;
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) { condition.either(needed_[slot]); });
    }
    for (const SlotId written : writtenSlots(instruction, Statistics::kIgnored)) {
      for (const SlotId slot : members_[storage_.of(written)]) {
        // What is written into the module or an input outlives the run.
        const bool outlives = program_.slots[slot].kind != Slot::Kind::kResult;
        condition.either(outlives ? Condition::always() : needed_[slot]);
      }
    }
    if (!additions_.empty()) condition.either(ofNumbers(instruction.node, index));
    if (leftovers_.instructions.count(index) > 0) condition = Condition::always();
    const auto block = blockOf_.find(index);
    if (block != blockOf_.end()) return cross(index, block->second, condition);
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) {
        if (program_.slots[slot].producer == index) needed_[slot] = Condition::never();
      });
    }
    if (condition.isNever()) {
      liveness_.instructions[index] = Condition::allOf(all_);
      liveness_.unread.push_back(index);
      return;
    }
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) { needed_[slot].either(condition); });
    }
    liveness_.instructions[index] = std::move(condition);
  }

  // Numbers are no slots: when something that runs after `index` uses a number that the graph computes from
  // what the node gives, such as its size.
  Condition ofNumbers(const torch::jit::Node* node, int32_t index) {
    auto found = users_.find(node);
    if (found == users_.end()) found = users_.emplace(node, directUsers(node, ran_, never_)).first;
    if (found->second.reachesOutput) return Condition::always();
    Condition condition;
    for (const auto* user : found->second.nodes) {
      for (const int32_t i : instructionsOf_.at(user)) {
        if (i > index) condition.either(liveness_.instructions[i]);
      }
    }
    return condition;
  }

  void findQuestions() {
    for (const auto& question : program_.questions) {
      Condition condition = additions_.empty() ? Condition::always() : Condition();
      if (!additions_.empty()) {
        condition = ofNumbers(question.node, question.before - 1);
        if (condition.isNever()) condition = Condition::always();  // a check is nobody's argument
      }
      liveness_.questions.push_back(std::move(condition));
    }
  }

  // Before the addition, the kept operand is needed as the sum is after it, the branch only with the block.
  void cross(int32_t index, int32_t block, const Condition& condition) {
    const auto& addition = additions_[block];
    const Condition withBlock = condition.and_(block);
    needed_[addition.sum] = Condition::never();
    needed_[addition.kept].either(condition);
    needed_[addition.branch].either(withBlock);
    liveness_.instructions[index] = withBlock;
    liveness_.sums[block] = condition;
  }

  // What no instruction that runs reads may be read on a side that did not run, such as training's: it is
  // wanted when what that side gives is.
  void findReadAside(std::vector<Condition>& read) {
    std::unordered_map<std::string, SlotId> slots;
    for (size_t slot = 0; slot < read.size(); ++slot) {
      if (program_.slots[slot].isStored() && read[slot].isNever()) {
        slots.emplace(program_.slots[slot].name, static_cast<SlotId>(slot));
      }
    }
    if (slots.empty()) return;
    // A shared one goes by its first name.
    std::unordered_map<std::string, SlotId> named;
    std::unordered_map<const c10::TensorImpl*, SlotId> known;
    const auto name = [&](const std::string& path, const at::Tensor& tensor) {
      const auto own = slots.find(path);
      if (own != slots.end()) known.emplace(tensor.unsafeGetTensorImpl(), own->second);
      const auto found = known.find(tensor.unsafeGetTensorImpl());
      if (found != known.end()) named.emplace(path, found->second);
    };
    for (const auto& item : program_.graph->module().named_parameters()) name(item.name, item.value);
    for (const auto& item : program_.graph->module().named_buffers()) name(item.name, item.value);
    const ModulePaths paths(program_.graph->graph());
    for (const auto* node : program_.graph->nodes()) {
      if (node->kind() != torch::jit::prim::GetAttr) continue;
      const auto path = paths.attributeOf(node);
      const auto found = path ? named.find(*path) : named.end();
      if (found != named.end()) read[found->second].either(ofUsers(node));
    }
  }

  // When an instruction uses what the node gives, or the forward returns it.
  Condition ofUsers(const torch::jit::Node* node) const {
    const DirectUsers users = directUsers(node, ran_, never_);
    if (users.reachesOutput) return Condition::always();
    Condition condition;
    for (const auto* user : users.nodes) {
      for (const int32_t i : instructionsOf_.at(user)) condition.either(liveness_.instructions[i]);
    }
    for (const auto& [user, input] : users.inputs) {
      const auto block = blockOf_.find(instructionsOf_.at(user).front());
      if (block == blockOf_.end()) continue;
      const auto& argument = program_.instructions[block->first].arguments[input];
      if (argument.isSlot() && argument.slot == additions_[block->second].kept) {
        condition.either(liveness_.sums[block->second]);
      }
    }
    return condition;
  }

  void findStored() {
    const auto& slots = program_.slots;
    std::vector<Condition> read(slots.size());
    const auto mark = [&](int32_t index, const Condition& condition) {
      const auto& instruction = program_.instructions[index];
      for (size_t a = 0; a < instruction.arguments.size(); ++a) {
        // Another tensor of the module can tell a type: export/tensor_queries sees to it.
        if (askedOf(*instruction.schema, a) == Asked::kType) continue;
        forEachSlot(instruction.arguments[a], [&](SlotId slot) { read[slot].either(condition); });
      }
    };
    for (size_t i = 0; i < program_.instructions.size(); ++i) {
      if (program_.instructions[i].runs()) mark(static_cast<int32_t>(i), liveness_.instructions[i]);
    }
    // Numbers may have been read off such a result, and numbers are no slots.
    for (const int32_t index : liveness_.unread) mark(index, Condition::always());
    forEachSlot(program_.output, [&](SlotId slot) { read[slot] = Condition::always(); });
    if (!additions_.empty()) findReadAside(read);
    std::unordered_map<std::string, Condition> ofModule;
    for (size_t slot = 0; slot < slots.size(); ++slot) {
      if (slots[slot].isStored()) ofModule[ownerOf(slots[slot].name)].either(read[slot]);
    }
    for (size_t slot = 0; slot < slots.size(); ++slot) {
      if (!slots[slot].isStored()) continue;
      const std::string owner = ownerOf(slots[slot].name);
      const Condition& module = ofModule[owner];
      if (!read[slot].isNever()) {
        liveness_.stored[slot] = read[slot];
      } else if (!owner.empty() && !module.isNever()) {
        liveness_.stored[slot] = module;
      }
      if (leftovers_.stored.count(slots[slot].name) > 0) liveness_.stored[slot] = Condition::always();
    }
  }

  const Program& program_;
  const std::vector<ResidualAddition>& additions_;
  const Leftovers& leftovers_;
  StorageClasses storage_;
  std::unordered_map<int32_t, int32_t> blockOf_;
  std::unordered_map<SlotId, std::vector<SlotId>> members_;  // by representative
  std::vector<Condition> needed_;                            // by slot, at the present point of the pass
  std::vector<int32_t> all_;
  NodeSet ran_;     // the nodes of instructions that run
  BlockSet never_;  // blocks that never run
  std::unordered_map<const torch::jit::Node*, std::vector<int32_t>> instructionsOf_;
  std::unordered_map<const torch::jit::Node*, DirectUsers> users_;  // of numbers
  Liveness liveness_;
};

}  // namespace

Liveness findLiveness(const Program& program, const std::vector<ResidualAddition>& additions,
                      const Leftovers& leftovers) {
  return LivenessPass(program, additions, leftovers).run();
}

}  // namespace torchsearch

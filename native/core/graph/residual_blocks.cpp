#include "core/graph/residual_blocks.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/graph/block_names.h"
#include "core/graph/dependent_nodes.h"
#include "core/graph/operator_traits.h"
#include "core/graph/storage_classes.h"

namespace torchsearch {

namespace {

using torch::jit::Node;
using Substitute = ResidualBlock::Substitute;

struct Candidate {
  ResidualBlock block;
  SlotId source = kNoSlot;  // what f is computed from: x; or in "x + f(x) + g(x)" what came before x + f(x)
  int32_t begin = 0;        // the first instruction after the one that made it
  std::vector<int32_t> between;  // instructions that lead from it to f(x)
};

// Strides of a dimension of one say nothing.
bool sameStrides(const Slot& a, const Slot& b) {
  for (size_t d = 0; d < a.sizes.size(); ++d) {
    if (a.sizes[d] != 1 && a.strides[d] != b.strides[d]) return false;
  }
  return true;
}

bool hasLayout(const Slot& slot, const std::vector<size_t>& innermostFirst) {
  int64_t stride = 1;
  for (const size_t d : innermostFirst) {
    if (slot.sizes[d] != 1 && slot.strides[d] != stride) return false;
    stride *= slot.sizes[d];
  }
  return true;
}

bool isContiguous(const Slot& slot) {
  std::vector<size_t> order;
  for (size_t d = slot.sizes.size(); d > 0; --d) order.push_back(d - 1);
  return hasLayout(slot, order);
}

bool isChannelsLast(const Slot& slot) {
  return slot.sizes.size() == 4 && hasLayout(slot, {1, 3, 2, 0});
}

class BlockSearch {
 public:
  explicit BlockSearch(const Program& program)
      : program_(program),
        branches_(program.graph->graph()),
        storage_(program, StorageClasses::Branches::kAll),
        lastWrite_(program.slots.size(), -1) {
    for (size_t i = 0; i < program.instructions.size(); ++i) {
      const auto& instruction = program.instructions[i];
      instructionsOf_[instruction.node].push_back(static_cast<int32_t>(i));
      for (const SlotId slot : writtenSlots(instruction, Statistics::kIgnored)) {
        lastWrite_[storage_.of(slot)] = static_cast<int32_t>(i);
      }
    }
  }

  ResidualBlocks find(const std::set<int32_t>& givenUp) {
    std::vector<Candidate> candidates;
    for (size_t i = 0; i < program_.instructions.size(); ++i) {
      if (givenUp.count(static_cast<int32_t>(i)) > 0) continue;
      for (const int32_t kept : {0, 1}) {
        auto candidate = candidateAt(static_cast<int32_t>(i), kept, candidates);
        if (!candidate) continue;
        candidates.push_back(std::move(*candidate));
        break;
      }
    }
    const auto trial = livenessOf(candidates);
    std::vector<Candidate> found;
    for (size_t b = 0; b < candidates.size(); ++b) {
      if (servesTheAdditionOnly(candidates[b], static_cast<int32_t>(b), trial)) {
        found.push_back(std::move(candidates[b]));
      }
    }
    ResidualBlocks result;
    result.liveness = livenessOf(found);
    for (auto& candidate : found) result.blocks.push_back(std::move(candidate.block));
    nameBlocks(program_, result.blocks, result.liveness);
    return result;
  }

 private:
  Liveness livenessOf(const std::vector<Candidate>& candidates) const {
    std::vector<ResidualAddition> additions;
    additions.reserve(candidates.size());
    for (const auto& candidate : candidates) additions.push_back(candidate.block.addition);
    return findLiveness(program_, additions);
  }

  // An addition of two tensors, alpha being 1, that runs once.
  bool isPlainAddition(const Instruction& instruction) const {
    const std::string& name = instruction.schema->name();
    if (!instruction.runs() || (name != "aten::add" && name != "aten::add_")) return false;
    if (instruction.arguments.size() != 3 || !instruction.arguments[0].isSlot() ||
        !instruction.arguments[1].isSlot() || !instruction.results[0].isSlot()) {
      return false;
    }
    const auto& alpha = instruction.arguments[2].constant;
    return alpha.isScalar() && alpha.toScalar().equal(1) && instructionsOf_.at(instruction.node).size() == 1;
  }

  std::optional<Candidate> candidateAt(int32_t index, int32_t kept,
                                       const std::vector<Candidate>& before) const {
    const auto& instruction = program_.instructions[index];
    if (!isPlainAddition(instruction)) return std::nullopt;
    Candidate candidate;
    const SlotId y = instruction.results[0].slot;
    const SlotId x = instruction.arguments[kept].slot;
    const SlotId f = instruction.arguments[1 - kept].slot;
    candidate.block.addition = {index, y, x, f};
    candidate.block.keptArgument = kept;
    const Slot& given = program_.slots[x];
    const Slot& added = program_.slots[f];
    const Slot& result = program_.slots[y];
    if (x == f || given.isStored() || given.kind == Slot::Kind::kConstant) return std::nullopt;
    if (given.sizes != added.sizes || given.sizes != result.sizes || given.dtype != added.dtype ||
        given.dtype != result.dtype) {
      return std::nullopt;
    }
    if (y == f && branchIsReadAfter(instruction.node, 1 - kept)) return std::nullopt;
    const auto substitute = substituteFor(candidate.block.addition);
    if (!substitute) return std::nullopt;
    candidate.block.substitute = *substitute;
    const int32_t maker = makerOfKept(candidate.block.addition);
    candidate.source = x;
    candidate.begin = maker + 1;
    candidate.between = between(candidate);
    if (!candidate.between.empty()) return candidate;
    const auto sum = std::find_if(before.begin(), before.end(), [&](const Candidate& other) {
      return other.block.addition.instruction == maker;
    });
    if (sum == before.end()) return std::nullopt;
    candidate.source = sum->source;
    candidate.begin = sum->begin;
    candidate.between = between(candidate);
    if (candidate.between.empty()) return std::nullopt;
    return candidate;
  }

  // `f.add_(x)`, where the code goes on with `f` instead of with the result.
  bool branchIsReadAfter(const Node* addition, int32_t argument) const {
    const BlockSet never = branches_.besides(addition);
    for (const auto& use : addition->inputs()[argument]->uses()) {
      if (use.user == addition || isWithin(use.user, never)) continue;
      if (use.user->isAfter(addition)) return true;
    }
    return false;
  }

  std::optional<Substitute> substituteFor(const ResidualAddition& addition) const {
    if (addition.sum == addition.kept) return Substitute::kSame;
    const Slot& x = program_.slots[addition.kept];
    const Slot& y = program_.slots[addition.sum];
    if (x.strides.size() != x.sizes.size() || y.strides.size() != y.sizes.size()) return std::nullopt;
    if (!sameStrides(x, y)) {
      if (isContiguous(y)) return Substitute::kContiguousCopy;
      if (isChannelsLast(y)) return Substitute::kChannelsLastCopy;
      // A layout of another order, as attention with the tokens first leaves at a batch of several: only a
      // view could tell it from x's, and would say so.
    }
    const auto writtenLater = [&](SlotId slot) {
      return lastWrite_[storage_.of(slot)] > addition.instruction;
    };
    return writtenLater(addition.sum) || writtenLater(addition.kept) ? Substitute::kCopy : Substitute::kSame;
  }

  // What the source, as it was made, leads to and f(x) comes from; empty when f(x) does not come from it.
  std::vector<int32_t> between(const Candidate& candidate) const {
    const auto after = descendants(candidate);
    const auto before = ancestors(candidate.block.addition, candidate.begin);
    std::vector<int32_t> both;
    std::set_intersection(after.begin(), after.end(), before.begin(), before.end(), std::back_inserter(both));
    return both;
  }

  // The instruction that gave x what it holds when it is added; -1 where it came so.
  int32_t makerOfKept(const ResidualAddition& addition) const {
    const SlotId memory = storage_.of(addition.kept);
    int32_t index = addition.instruction - 1;
    for (; index >= 0; --index) {
      const auto& instruction = program_.instructions[index];
      if (!instruction.runs()) continue;
      const bool made = changesAny(instruction, [&](SlotId slot) {
        return slot == addition.kept || (isInPlace(instruction, slot) && storage_.of(slot) == memory);
      });
      if (made) break;
    }
    return index;
  }

  // Up to the addition: what computes with the source, or with what came of it. Ascending.
  std::vector<int32_t> descendants(const Candidate& candidate) const {
    const SlotId memory = storage_.of(candidate.source);
    std::unordered_set<SlotId> reached = {candidate.source};
    std::vector<int32_t> found;
    for (int32_t i = candidate.begin; i < candidate.block.addition.instruction; ++i) {
      const auto& instruction = program_.instructions[i];
      if (!instruction.runs()) continue;
      const bool reads = readsAny(
          instruction, [&](SlotId slot) { return reached.count(slot) > 0 || storage_.of(slot) == memory; });
      if (!reads) continue;
      found.push_back(i);
      changesAny(instruction, [&](SlotId slot) {
        reached.insert(slot);
        return false;
      });
    }
    return found;
  }

  // Likewise: what f(x) is computed by.
  std::vector<int32_t> ancestors(const ResidualAddition& addition, int32_t begin) const {
    std::unordered_set<SlotId> needed = {addition.branch};
    std::unordered_set<SlotId> neededMemory = {storage_.of(addition.branch)};
    std::vector<int32_t> found;
    for (int32_t i = addition.instruction - 1; i >= begin; --i) {
      const auto& instruction = program_.instructions[i];
      if (!instruction.runs()) continue;
      const bool leads = changesAny(instruction, [&](SlotId slot) {
        return needed.count(slot) > 0 ||
               (isInPlace(instruction, slot) && neededMemory.count(storage_.of(slot)) > 0);
      });
      if (!leads) continue;
      found.push_back(i);
      readsAny(instruction, [&](SlotId slot) {
        needed.insert(slot);
        neededMemory.insert(storage_.of(slot));
        return false;
      });
    }
    std::reverse(found.begin(), found.end());
    return found;
  }

  // Whether `test` holds of a slot that an instruction reads.
  template <typename Test>
  static bool readsAny(const Instruction& instruction, Test&& test) {
    bool any = false;
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) { any = test(slot) || any; });
    }
    return any;
  }

  // Likewise for one that it gives or writes.
  template <typename Test>
  static bool changesAny(const Instruction& instruction, Test&& test) {
    bool any = false;
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) { any = test(slot) || any; });
    }
    for (const SlotId slot : writtenSlots(instruction, Statistics::kIgnored)) any = test(slot) || any;
    return any;
  }

  static bool isInPlace(const Instruction& instruction, SlotId slot) {
    const auto written = writtenSlots(instruction, Statistics::kIgnored);
    return std::find(written.begin(), written.end(), slot) != written.end();
  }

  bool servesTheAdditionOnly(const Candidate& candidate, int32_t block, const Liveness& liveness) const {
    const auto goes = [&](int32_t index) { return liveness.instructions[index].needs(block); };
    // A norm may serve others too: "n = norm(x); x + f(n) + g(n)".
    bool computes = false;
    for (const int32_t i : candidate.between) {
      if (!isLayer(program_.instructions[i].schema->name())) continue;
      if (!goes(i)) return false;
      computes = true;
    }
    return computes && graphAllows(candidate, liveness, goes);
  }

  static bool isLayer(const std::string& name) {
    const OperatorTraits& traits = traitsOf(name);
    return isConvolution(name) || traits.isMatrixProduct || traits.isRecurrent || isAttention(name);
  }

  // Numbers are no slots, but the graph computes them too: from the size of a tensor that would be gone, say.
  template <typename Goes>
  bool graphAllows(const Candidate& candidate, const Liveness& liveness, const Goes& goes) const {
    const auto& unread = liveness.unread;
    std::vector<const Node*> gone;
    for (int32_t i = 0; i < candidate.block.addition.instruction; ++i) {
      if (!program_.instructions[i].runs() || !goes(i)) continue;
      if (std::binary_search(unread.begin(), unread.end(), i)) continue;
      gone.push_back(program_.instructions[i].node);
    }
    const Node* addition = program_.instructions[candidate.block.addition.instruction].node;
    const auto dependent = dependentNodes(gone, {addition}, branches_.besides(addition));
    if (dependent.reachesOutput) return false;
    return std::all_of(dependent.nodes.begin(), dependent.nodes.end(), [&](const Node* node) {
      const auto found = instructionsOf_.find(node);
      if (found == instructionsOf_.end()) return true;
      return std::all_of(found->second.begin(), found->second.end(),
                         [&](int32_t i) { return !program_.instructions[i].runs() || goes(i); });
    });
  }

  const Program& program_;
  FixedBranches branches_;
  StorageClasses storage_;
  std::vector<int32_t> lastWrite_;  // by representative of storage_, speculative instructions included
  std::unordered_map<const Node*, std::vector<int32_t>> instructionsOf_;
};

// A copy of `kept` where the sum stood.
Instruction copyInstruction(const Instruction& addition, const ValueTree& kept, Substitute substitute) {
  static const auto clone = torch::jit::getOperatorForLiteral(
      "aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor");
  Instruction copy(clone->getOperation());
  copy.node = addition.node;
  copy.schema = &clone->schema();
  copy.scope = addition.scope;
  copy.results = addition.results;
  ValueTree format;
  if (substitute == Substitute::kContiguousCopy) {
    format.constant = static_cast<int64_t>(at::MemoryFormat::Contiguous);
  } else if (substitute == Substitute::kChannelsLastCopy) {
    format.constant = static_cast<int64_t>(at::MemoryFormat::ChannelsLast);
  }
  copy.arguments = {kept, format};
  return copy;
}

void rename(ValueTree& tree, const std::unordered_map<SlotId, SlotId>& names) {
  if (tree.isSlot()) {
    const auto found = names.find(tree.slot);
    if (found != names.end()) tree.slot = found->second;
  }
  for (auto& child : tree.children) rename(child, names);
}

}  // namespace

ResidualBlocks findResidualBlocks(const Program& program, const std::set<int32_t>& givenUp) {
  return BlockSearch(program).find(givenUp);
}

void keepLeftovers(const Program& program, ResidualBlocks& blocks, const Leftovers& leftovers) {
  if (leftovers.empty()) return;
  std::vector<ResidualAddition> additions;
  for (const auto& block : blocks.blocks) additions.push_back(block.addition);
  blocks.liveness = findLiveness(program, additions, leftovers);
}

Program withoutBlocks(const Program& program, const ResidualBlocks& blocks, const std::vector<bool>& kept) {
  Program shortened = program;
  std::unordered_map<int32_t, const ResidualBlock*> leftOut;
  for (size_t b = 0; b < kept.size(); ++b) {
    if (!kept[b]) leftOut.emplace(blocks.blocks[b].addition.instruction, &blocks.blocks[b]);
  }
  if (leftOut.empty()) return shortened;
  std::unordered_map<SlotId, SlotId> names;  // of a sum: the slot whose tensor it is now
  for (size_t i = 0; i < shortened.instructions.size(); ++i) {
    auto& instruction = shortened.instructions[i];
    for (auto& argument : instruction.arguments) rename(argument, names);
    for (auto& result : instruction.results) rename(result, names);
    const auto found = leftOut.find(static_cast<int32_t>(i));
    if (found == leftOut.end()) {
      instruction.leftOut = instruction.runs() && !blocks.liveness.instructions[i].holds(kept);
      continue;
    }
    const ResidualBlock& block = *found->second;
    const ValueTree x = instruction.arguments[block.keptArgument];
    const size_t index = static_cast<size_t>(&block - blocks.blocks.data());
    if (block.substitute == Substitute::kSame || !blocks.liveness.sums[index].holds(kept)) {
      instruction.leftOut = true;
      if (block.addition.sum != x.slot) names[block.addition.sum] = x.slot;
    } else {
      instruction = copyInstruction(instruction, x, block.substitute);
    }
  }
  rename(shortened.output, names);
  return shortened;
}

}  // namespace torchsearch

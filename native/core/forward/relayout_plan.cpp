#include "core/forward/relayout_plan.h"

#include "core/graph/operator_traits.h"

namespace torchsearch {

namespace {

// Whether the strides, but for dimensions of one element, are those of elements in this order of dimensions.
bool isDense(const Slot& slot, const std::vector<size_t>& order) {
  int64_t expected = 1;
  for (auto d = order.rbegin(); d != order.rend(); ++d) {
    if (slot.sizes[*d] != 1 && slot.strides[*d] != expected) return false;
    expected *= slot.sizes[*d];
  }
  return true;
}

// Follows channels-last tensors through the program.
class Relayouter {
 public:
  Relayouter(const ExecutionPlan& plan, const std::vector<FusedChain>& chains,
             const std::vector<int32_t>& chainOf, const StorageClasses& storage,
             const std::vector<std::vector<int32_t>>& writes)
      : program_(plan.program()),
        count_(plan.instructionCount()),
        chains_(chains),
        chainOf_(chainOf),
        storage_(storage),
        writes_(writes) {
    made_.pinned.assign(program_.slots.size(), false);
  }

  RelayoutPlan run() {
    do {
      follow();
    } while (pinOne());
    return std::move(made_);
  }

 private:
  bool isPinned(SlotId slot) const { return made_.pinned[storage_.of(slot)]; }
  void mark(SlotId slot) { reordered_[slot] = program_.slots[slot].sizes.size() == 4; }

  void follow() {
    made_.relayouts.clear();
    reordered_.assign(program_.slots.size(), false);
    for (int32_t i = 0; i < count_; ++i) {
      if (!program_.instructions[i].runs()) continue;
      if (chainOf_[i] < 0) {
        visit(i);
        continue;
      }
      const auto& chain = chains_[chainOf_[i]];
      if (chain.anchor != i) continue;
      if (chain.kind == FusedChain::Kind::kLinear) {
        visit(i);
      } else if (!isPinned(chain.result)) {
        mark(chain.result);
      }
    }
  }

  // An instruction either passes its operands' layout on, or gets them in the recorded one.
  void visit(int32_t i) {
    const auto& instruction = program_.instructions[i];
    const bool passesOn = ignoresLayout(instruction);
    bool any = false;
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) {
        if (!reordered_[slot]) return;
        any = true;
        if (!passesOn) made_.relayouts.push_back({i, slot, recordedLayout(program_.slots[slot])});
      });
    }
    if (!any) return;
    if (passesOn) {
      for (const auto& result : instruction.results) forEachSlot(result, [&](SlotId slot) { mark(slot); });
    } else {
      for (const auto& argument : instruction.arguments) {
        forEachSlot(argument, [&](SlotId slot) { reordered_[slot] = false; });
      }
    }
  }

  bool ignoresLayout(const Instruction& instruction) const {
    if (instruction.schema == nullptr || !traitsOf(instruction.schema->name()).ignoresLayout) return false;
    bool pinnedResult = false;
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) { pinnedResult = pinnedResult || isPinned(slot); });
    }
    return !pinnedResult;
  }

  // A copy in another layout parts a tensor from its views: no matter, unless one of them is written later
  // on. Then the tensor has to be pinned, and all of it followed once more.
  bool pinOne() {
    for (const auto& [instruction, slot, layout] : made_.relayouts) {
      if (isPinned(slot)) continue;
      const auto& writes = writes_[storage_.of(slot)];
      if (layout != Layout::kOther && (writes.empty() || writes.back() < instruction)) continue;
      made_.pinned[storage_.of(slot)] = true;
      return true;
    }
    return false;
  }

  const Program& program_;
  int32_t count_;
  const std::vector<FusedChain>& chains_;
  const std::vector<int32_t>& chainOf_;
  const StorageClasses& storage_;
  const std::vector<std::vector<int32_t>>& writes_;
  std::vector<bool> reordered_;  // by slot: lies channels-last though it was recorded otherwise
  RelayoutPlan made_;
};

}  // namespace

Layout recordedLayout(const Slot& slot) {
  const size_t rank = slot.sizes.size();
  if (slot.strides.size() != rank) return Layout::kOther;
  std::vector<size_t> order(rank);
  for (size_t d = 0; d < rank; ++d) order[d] = d;
  if (isDense(slot, order)) return Layout::kContiguous;
  if (rank == 4 && isDense(slot, {0, 2, 3, 1})) return Layout::kChannelsLast;
  return Layout::kOther;
}

RelayoutPlan planRelayouts(const ExecutionPlan& plan, const std::vector<FusedChain>& chains,
                           const std::vector<int32_t>& chainOf, const StorageClasses& storage,
                           const std::vector<std::vector<int32_t>>& writes) {
  return Relayouter(plan, chains, chainOf, storage, writes).run();
}

}  // namespace torchsearch

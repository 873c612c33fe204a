#include "core/space/narrow_views.h"

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "core/base/error.h"
#include "core/graph/operator_traits.h"
#include "core/graph/size_form.h"
#include "core/space/subnet_run.h"

namespace torchsearch {

namespace {

// Whether the operator decides by layouts whether it copies.
bool mayGiveView(const Instruction& instruction) {
  if (traitsOf(instruction.schema->name()).mayPassThrough) return true;
  const auto& returns = instruction.schema->returns();
  return std::any_of(returns.begin(), returns.end(), [](const c10::Argument& result) {
    return result.alias_info() != nullptr && !result.alias_info()->isWrite();
  });
}

// A result that has memory of its own, and the dimensions that may make it a view when they are one.
struct Candidate {
  SlotId result = kNoSlot;
  std::vector<SizeForm> ones;
};

class ViewSearch : public ExecutionObserver {
 public:
  ViewSearch(const ConvertedModel& model, const std::vector<int64_t>& smallest)
      : program_(*model.program), dependencies_(*model.dependencies), smallest_(smallest) {
    for (size_t i = 0; i < program_.instructions.size(); ++i) {
      const auto& instruction = program_.instructions[i];
      if (!instruction.runs() || !mayGiveView(instruction) || !ownsResult(instruction, i)) continue;
      Candidate candidate{instruction.results[0].slot, {}};
      addOnes(instruction, candidate.ones);
      if (!candidate.ones.empty()) candidates_.emplace(static_cast<int32_t>(i), std::move(candidate));
    }
  }

  // Widths by group: of the smallest subnet, and where results follow from several groups, of some in which
  // one of these is small, or any others of three and more.
  std::vector<std::vector<int64_t>> trials(const std::vector<int64_t>& full) const {
    if (candidates_.empty()) return {};
    std::vector<std::vector<int64_t>> result = {smallest_};
    const auto turns = turnsOfGroups();
    if (turns.size() < 2) return result;
    const size_t most = mostGroups();
    for (uint32_t some = 1; some < 1U << kMostTurns; ++some) {
      const std::bitset<kMostTurns> chosen(some);
      if (chosen.count() > 1 && chosen.count() >= most) continue;
      auto widths = full;
      std::bitset<kMostTurns> met;
      for (const auto& [group, turn] : turns) {
        if (turn >= kMostTurns || !chosen.test(turn)) continue;
        widths[group] = smallest_[group];
        met.set(turn);
      }
      if (met == chosen) result.push_back(std::move(widths));
    }
    return result;
  }

  void begin(const std::vector<int64_t>& widths) { widths_ = &widths; }
  std::vector<NarrowView> found() { return std::move(found_); }

  void beforeInstruction(int32_t, const std::vector<at::Tensor>&) override {}

  void afterInstruction(int32_t index, const std::vector<at::Tensor>& values) override {
    const auto found = candidates_.find(index);
    if (found == candidates_.end()) return;
    const auto& [result, all] = found->second;
    std::vector<SizeForm> ones;
    std::copy_if(all.begin(), all.end(), std::back_inserter(ones),
                 [&](const SizeForm& form) { return form.at(*widths_) == 1; });
    if (ones.empty()) return;
    for (const auto& argument : program_.instructions[index].arguments) {
      if (!argument.isSlot() || !values[argument.slot].is_alias_of(values[result])) continue;
      found_.push_back({result, argument.slot, std::move(ones)});
      return;
    }
  }

 private:
  static constexpr int32_t kMostTurns = 4;

  bool ownsResult(const Instruction& instruction, size_t index) const {
    if (instruction.results.size() != 1 || !instruction.results[0].isSlot()) return false;
    const Slot& result = program_.slots[instruction.results[0].slot];
    return result.kind == Slot::Kind::kResult && result.producer == static_cast<int32_t>(index) &&
           result.viewOf == kNoSlot;
  }

  // The dimensions of what it takes and gives that are one in the smallest subnet, and not in the full model;
  // and those of what made the memory that it takes: `einsum` lays its result out by them.
  void addOnes(const Instruction& instruction, std::vector<SizeForm>& ones) const {
    const auto look = [&](SlotId slot) { addOnes(slot, ones); };
    for (const auto& result : instruction.results) forEachSlot(result, look);
    for (const auto& argument : instruction.arguments) forEachSlot(argument, look);
    if (instruction.arguments.empty() || !instruction.arguments[0].isSlot()) return;
    const Slot* taken = &program_.slots[instruction.arguments[0].slot];
    while (taken->kind == Slot::Kind::kResult) {
      const auto& maker = program_.instructions[taken->producer];
      for (const auto& argument : maker.arguments) forEachSlot(argument, look);
      if (taken->viewOf == kNoSlot) return;
      taken = &program_.slots[taken->viewOf];
    }
  }

  void addOnes(SlotId slot, std::vector<SizeForm>& ones) const {
    const auto& sizes = program_.slots[slot].sizes;
    for (size_t d = 0; d < sizes.size(); ++d) {
      if (sizes[d] == 1) continue;
      SizeForm form = sizeForm(dependencies_, slot, static_cast<int64_t>(d));
      if (!form.varies() || form.at(smallest_) != 1) continue;
      if (std::find(ones.begin(), ones.end(), form) == ones.end()) ones.push_back(std::move(form));
    }
  }

  static std::set<int32_t> groupsOf(const Candidate& candidate) {
    std::set<int32_t> groups;
    for (const auto& form : candidate.ones) {
      for (const auto& factor : form.factors) groups.insert(factor.first);
    }
    return groups;
  }

  size_t mostGroups() const {
    size_t most = 0;
    for (const auto& [index, candidate] : candidates_) most = std::max(most, groupsOf(candidate).size());
    return most;
  }

  // When each group is small alone: at another turn than those that it meets in a candidate.
  std::map<int32_t, int32_t> turnsOfGroups() const {
    std::map<int32_t, int32_t> turns;
    for (const auto& [index, candidate] : candidates_) {
      const std::set<int32_t> groups = groupsOf(candidate);
      std::set<int32_t> taken;
      for (const int32_t group : groups) {
        if (turns.count(group) > 0) taken.insert(turns.at(group));
      }
      for (const int32_t group : groups) {
        if (turns.count(group) > 0) continue;
        int32_t turn = 0;
        while (taken.count(turn) > 0) ++turn;
        turns.emplace(group, turn);
        taken.insert(turn);
      }
    }
    return turns;
  }

  const Program& program_;
  const Dependencies& dependencies_;
  const std::vector<int64_t>& smallest_;
  std::map<int32_t, Candidate> candidates_;       // by instruction
  const std::vector<int64_t>* widths_ = nullptr;  // of the subnet that runs
  std::vector<NarrowView> found_;
};

}  // namespace

std::vector<NarrowView> findNarrowViews(const ConvertedModel& model, const std::vector<int64_t>& smallest,
                                        const CancelToken& cancel) {
  ViewSearch search(model, smallest);
  const std::vector<bool> kept(model.blocks.blocks.size(), true);
  for (const auto& widths : search.trials(fullWidths(*model.dependencies))) {
    search.begin(widths);
    try {
      runSubnet(model, widths, kept, search, cancel);
    } catch (const Error& error) {
      if (error.code() != "ERR_FORWARD") throw;  // what doesn't run is refused elsewhere
    }
  }
  return search.found();
}

}  // namespace torchsearch

#include "core/space/prefix_analysis.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "core/graph/operator_traits.h"
#include "core/graph/storage_classes.h"

namespace torchsearch {

namespace {

const ValueTree* argumentNamed(const Instruction& instruction, const char* name) {
  const auto position = instruction.schema->argumentIndexWithName(name);
  return position ? &instruction.arguments[*position] : nullptr;
}

bool drawsRandomNumbers(const Instruction& instruction) {
  const auto handle = c10::Dispatcher::singleton().findSchema(
      {instruction.schema->name(), instruction.schema->overload_name()});
  return handle && handle->hasTag(at::Tag::nondeterministic_seeded) && !runsForEvaluation(instruction);
}

// A subnet that was chosen before the hyperparameter was added tells nothing of it.
int64_t choiceOf(const ProgramSubnet& subnet, int32_t custom) {
  const auto at = static_cast<size_t>(custom);
  return at < subnet.custom.size() ? subnet.custom[at] : -1;
}

}  // namespace

PrefixAnalysis::PrefixAnalysis(const Dependencies& dependencies, const ResidualBlocks& blocks)
    : dependencies_(&dependencies) {
  const Program& program = dependencies.program();
  instructions_.resize(program.instructions.size());
  for (size_t i = 0; i < instructions_.size(); ++i) {
    const auto& instruction = program.instructions[i];
    instructions_[i].runs = instruction.runs();
    if (!blocks.blocks.empty()) instructions_[i].condition = &blocks.liveness.instructions[i];
    if (instruction.runs()) instructions_[i].cost = multiplyAddTerms(program, instruction);
  }
  for (size_t b = 0; b < blocks.blocks.size(); ++b) {
    instructions_[blocks.blocks[b].addition.instruction].block = static_cast<int32_t>(b);
  }
  findGroups(dependencies);
  findNorms(program);
  findLimit(program);
  double total = 0;
  work_.assign(instructions_.size() + 1, 0);
  for (size_t i = 0; i < instructions_.size(); ++i) {
    total += static_cast<double>(evaluateTerms(instructions_[i].cost, program));
    work_[i + 1] = total;
  }
  for (size_t i = 0; i < work_.size(); ++i) {
    work_[i] = total > 0 ? work_[i] / total : static_cast<double>(i) / static_cast<double>(work_.size());
  }
}

void PrefixAnalysis::distinguish(const CustomHyperparameters& customs) {
  const Program& program = dependencies_->program();
  for (size_t i = 0; i < instructions_.size(); ++i) {
    instructions_[i].customs.clear();
    for (size_t c = 0; c < customs.size(); ++c) {
      if (customs[c]->changes(program, program.instructions[i])) {
        instructions_[i].customs.push_back(static_cast<int32_t>(c));
      }
    }
  }
}

void PrefixAnalysis::findGroups(const Dependencies& dependencies) {
  const Program& program = dependencies.program();
  std::vector<std::set<int32_t>> ofSlot(program.slots.size());
  for (size_t slot = 0; slot < program.slots.size(); ++slot) {
    for (size_t d = 0; d < program.slots[slot].sizes.size(); ++d) {
      for (const Atom atom : dependencies.labels(static_cast<SlotId>(slot), static_cast<int64_t>(d))) {
        const int32_t group = dependencies.placeOf(atom).group;
        if (group != kNoGroup) ofSlot[slot].insert(group);
      }
    }
  }
  for (size_t i = 0; i < instructions_.size(); ++i) {
    std::set<int32_t> groups;
    const auto add = [&](SlotId slot) { groups.insert(ofSlot[slot].begin(), ofSlot[slot].end()); };
    for (const auto& argument : program.instructions[i].arguments) forEachSlot(argument, add);
    for (const auto& result : program.instructions[i].results) forEachSlot(result, add);
    instructions_[i].groups.assign(groups.begin(), groups.end());
  }
}

void PrefixAnalysis::findNorms(const Program& program) {
  std::unordered_map<SlotId, int32_t> firstUse;
  for (size_t i = 0; i < instructions_.size(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.runs() || instruction.schema->name() != "aten::batch_norm") continue;
    const ValueTree* mean = argumentNamed(instruction, "running_mean");
    const ValueTree* variance = argumentNamed(instruction, "running_var");
    if (!mean->isSlot() || !variance->isSlot()) continue;
    const auto index = static_cast<int32_t>(i);
    norms_.push_back({index, mean->slot, variance->slot});
    for (const SlotId slot : {mean->slot, variance->slot}) {
      const auto [found, added] = firstUse.emplace(slot, index);
      if (!added) uninterrupted_.emplace_back(found->second, index);
    }
  }
}

void PrefixAnalysis::findLimit(const Program& program) {
  const StorageClasses storage(program);
  std::unordered_set<SlotId> outliving;  // representatives of what is there before and after a run
  for (size_t slot = 0; slot < program.slots.size(); ++slot) {
    if (program.slots[slot].kind != Slot::Kind::kResult)
      outliving.insert(storage.of(static_cast<SlotId>(slot)));
  }
  limit_ = instructionCount();
  for (int32_t i = 0; i < limit_; ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.runs()) continue;
    const auto written = writtenSlots(instruction, Statistics::kIgnored);
    const bool leavesTraces = std::any_of(written.begin(), written.end(),
                                          [&](SlotId slot) { return outliving.count(storage.of(slot)) > 0; });
    if (leavesTraces || drawsRandomNumbers(instruction)) limit_ = i;
  }
}

bool PrefixAnalysis::mayResumeAt(int32_t instruction) const {
  if (instruction <= 0 || instruction > limit_) return false;
  return std::none_of(uninterrupted_.begin(), uninterrupted_.end(), [&](const auto& range) {
    return range.first < instruction && instruction <= range.second;
  });
}

bool PrefixAnalysis::runs(const Step& step, const ProgramSubnet& subnet) const {
  if (!step.runs) return false;
  if (step.block >= 0) return subnet.kept[step.block] && step.condition->holds(subnet.kept);
  return step.condition == nullptr || step.condition->holds(subnet.kept);
}

std::vector<bool> PrefixAnalysis::running(const ProgramSubnet& subnet) const {
  std::vector<bool> result(instructions_.size());
  for (size_t i = 0; i < instructions_.size(); ++i) result[i] = runs(instructions_[i], subnet);
  return result;
}

int32_t PrefixAnalysis::firstDifference(const ProgramSubnet& a, const ProgramSubnet& b) const {
  const bool sameBlocks = a.kept == b.kept;
  for (int32_t i = 0; i < instructionCount(); ++i) {
    const Step& step = instructions_[i];
    if (!step.runs) continue;
    if (!sameBlocks && (runs(step, a) != runs(step, b))) return i;
    // An addition may be replaced by nothing, or by a copy.
    if (!sameBlocks && step.block >= 0 && a.kept[step.block] != b.kept[step.block]) return i;
    const bool differs = std::any_of(step.groups.begin(), step.groups.end(),
                                     [&](int32_t group) { return a.widths[group] != b.widths[group]; });
    const bool chosenApart = std::any_of(step.customs.begin(), step.customs.end(),
                                         [&](int32_t c) { return choiceOf(a, c) != choiceOf(b, c); });
    if ((differs || chosenApart) && runs(step, a)) return i;
  }
  return instructionCount();
}

std::vector<Digest> PrefixAnalysis::digests(const ProgramSubnet& subnet) const {
  std::vector<Digest> result(instructions_.size() + 1);
  for (size_t i = 0; i < instructions_.size(); ++i) {
    const Step& step = instructions_[i];
    Digest digest = result[i];
    if (step.runs) {
      const bool kept = step.block < 0 || subnet.kept[step.block];
      const bool runs = this->runs(step, subnet);
      digest = followedBy(digest, (runs ? 1U : 0U) + (kept ? 2U : 0U));
      if (runs) {
        for (const int32_t group : step.groups) {
          digest = followedBy(digest, static_cast<uint64_t>(subnet.widths[group]));
        }
        for (const int32_t c : step.customs) {
          digest = followedBy(digest, static_cast<uint64_t>(choiceOf(subnet, c)));
        }
      }
    }
    result[i + 1] = digest;
  }
  return result;
}

std::vector<double> PrefixAnalysis::multiplyAddsBefore(const ProgramSubnet& subnet) const {
  std::vector<double> result(instructions_.size() + 1, 0);
  const Program& program = dependencies_->program();
  for (size_t i = 0; i < instructions_.size(); ++i) {
    double sum = 0;
    if (runs(instructions_[i], subnet)) {
      for (const CostTerm& term : instructions_[i].cost) {
        double product = static_cast<double>(term.coefficient);
        for (const auto& factor : term.factors) {
          const bool whole = dependencies_->labels(factor.slot, factor.dimension).empty();
          product *= static_cast<double>(
              whole ? program.slots[factor.slot].sizes[factor.dimension]
                    : dependencies_->keptCount(factor.slot, factor.dimension, subnet.widths));
        }
        sum += product;
      }
    }
    result[i + 1] = result[i] + sum;
  }
  return result;
}

}  // namespace torchsearch

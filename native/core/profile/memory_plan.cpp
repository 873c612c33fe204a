#include "core/profile/memory_plan.h"

#include <algorithm>

namespace torchsearch {

namespace {

std::vector<SlotId> slotsIn(const std::vector<ValueTree>& trees) {
  std::vector<SlotId> slots;
  for (const auto& tree : trees) {
    forEachSlot(tree, [&](SlotId slot) {
      if (std::find(slots.begin(), slots.end(), slot) == slots.end()) slots.push_back(slot);
    });
  }
  return slots;
}

bool asksTensor(const torch::jit::Node& node) {
  return std::any_of(node.inputs().begin(), node.inputs().end(), [](const torch::jit::Value* value) {
    return value->type()->isSubtypeOf(*c10::OptionalType::ofTensor());
  });
}

}  // namespace

MemoryPlan::MemoryPlan(const Program& program, const ResidualBlocks& blocks)
    : place_(program.slots.size(), kNothing) {
  const bool whole = blocks.blocks.empty();
  for (size_t s = 0; s < program.slots.size(); ++s) {
    if (program.slots[s].kind == Slot::Kind::kInput) own(static_cast<SlotId>(s), true);
  }
  std::vector<int32_t> blockOf(program.instructions.size(), kNothing);
  for (size_t b = 0; b < blocks.blocks.size(); ++b) {
    blockOf[blocks.blocks[b].addition.instruction] = static_cast<int32_t>(b);
  }
  auto question = program.questions.begin();
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    for (; question != program.questions.end() && question->before <= static_cast<int32_t>(i); ++question) {
      // What is read of a container: executors put what was put into it in its place, and so may an export.
      if (!asksTensor(*question->node)) continue;
      const auto index = static_cast<size_t>(question - program.questions.begin());
      const int32_t condition = conditionOf(whole ? Condition::always() : blocks.liveness.questions[index]);
      questions_.push_back({question->slot, static_cast<int32_t>(steps_.size()), condition});
    }
    const Instruction& instruction = program.instructions[i];
    if (!instruction.runs()) continue;
    Step step;
    step.condition = conditionOf(whole ? Condition::always() : blocks.liveness.instructions[i]);
    step.block = blockOf[i];
    for (const SlotId slot : slotsIn(instruction.arguments)) {
      const Slot& tensor = program.slots[slot];
      if (tensor.kind == Slot::Kind::kConstant) {
        // Numbers that a trace holds as tensors come and go with the graph's arithmetic.
        if (!tensor.sizes.empty()) own(slot, true);
      } else if (!tensor.isStored()) {
        step.reads.push_back(slot);
      }
    }
    for (const SlotId slot : slotsIn(instruction.results)) {
      const Slot& result = program.slots[slot];
      // What is given back as it came, written in place, is no new tensor.
      if (result.kind != Slot::Kind::kResult || result.producer != static_cast<int32_t>(i)) continue;
      if (result.viewOf == kNoSlot) own(slot, false);
      step.results.push_back({slot, result.viewOf});
    }
    steps_.push_back(std::move(step));
  }
  for (size_t b = 0; b < blocks.blocks.size(); ++b) {
    const auto& [name, addition, keptArgument, substitute] = blocks.blocks[b];
    const bool copies = substitute != ResidualBlock::Substitute::kSame;
    if (copies) own(addition.sum, false);
    additions_.push_back({addition.sum, addition.kept, copies, conditionOf(blocks.liveness.sums[b])});
  }
  for (const SlotId slot : slotsIn({program.output})) {
    if (!program.slots[slot].isStored()) output_.push_back(slot);
  }
}

void MemoryPlan::own(SlotId slot, bool permanent) {
  if (place_[slot] != kNothing) return;
  place_[slot] = static_cast<int32_t>(owners_.size());
  owners_.push_back(slot);
  permanent_.push_back(permanent);
}

int32_t MemoryPlan::conditionOf(const Condition& condition) {
  const auto found = std::find(conditions_.begin(), conditions_.end(), condition);
  const auto place = static_cast<int32_t>(found - conditions_.begin());
  if (found == conditions_.end()) conditions_.push_back(condition);
  return place;
}

MemoryPlan::Lifetimes MemoryPlan::lifetimes(const std::vector<bool>& kept, const Views& views) const {
  std::vector<bool> holds(conditions_.size());
  for (size_t c = 0; c < conditions_.size(); ++c) holds[c] = conditions_[c].holds(kept);
  Lifetimes lives{std::vector<int32_t>(owners_.size(), kNothing),
                  std::vector<int32_t>(owners_.size(), kNothing)};
  std::vector<int32_t> holder(place_.size(), kNothing);  // by slot: the place of its memory
  for (size_t p = 0; p < owners_.size(); ++p) {
    if (permanent_[p]) holder[owners_[p]] = static_cast<int32_t>(p);
  }
  const auto read = [&](SlotId slot, int32_t when) {
    if (holder[slot] != kNothing) lives.last[holder[slot]] = when;
  };
  const auto make = [&](SlotId slot, int32_t when) {
    const int32_t place = place_[slot];
    holder[slot] = place;
    lives.first[place] = lives.last[place] = when;
  };
  const auto count = static_cast<int32_t>(steps_.size());
  auto question = questions_.begin();
  int32_t ran = kNothing;
  for (int32_t i = 0; i < count; ++i) {
    // What is asked for something just before a step was still there in the one that ran last.
    for (; question != questions_.end() && question->before == i; ++question) {
      if (ran != kNothing && holds[question->condition]) read(question->slot, ran);
    }
    const Step& step = steps_[i];
    if (step.block != kNothing && !kept[step.block]) {
      const Addition& addition = additions_[step.block];
      if (!holds[addition.condition]) continue;
      if (addition.copies) {
        read(addition.kept, i);
        make(addition.sum, i);
        ran = i;
      } else {
        holder[addition.sum] = holder[addition.kept];
      }
      continue;
    }
    if (!holds[step.condition]) continue;
    ran = i;
    for (const SlotId slot : step.reads) read(slot, i);
    for (const Result& result : step.results) {
      const auto view = views.find(result.slot);
      const SlotId viewOf = view == views.end() ? result.viewOf : view->second;
      if (viewOf == kNoSlot) {
        make(result.slot, i);
      } else {
        holder[result.slot] = holder[viewOf];
      }
    }
  }
  for (const SlotId slot : output_) read(slot, count);
  return lives;
}

double MemoryPlan::peak(const std::vector<double>& bytes, const std::vector<bool>& kept,
                        const Views& views) const {
  const auto [first, last] = lifetimes(kept, views);
  double now = 0;
  std::vector<double> made(steps_.size()), freed(steps_.size() + 1);
  for (size_t p = 0; p < owners_.size(); ++p) {
    if (permanent_[p]) {
      now += bytes[p];
    } else if (first[p] != kNothing) {
      made[first[p]] += bytes[p];
      freed[last[p]] += bytes[p];
    }
  }
  double peak = now;
  for (size_t i = 0; i < steps_.size(); ++i) {
    now += made[i];
    peak = std::max(peak, now);
    now -= freed[i];
  }
  return peak;
}

}  // namespace torchsearch

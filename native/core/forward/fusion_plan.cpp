#include "core/forward/fusion_plan.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "core/graph/operator_traits.h"

namespace torchsearch {
namespace {

using Kind = PostActivation::Kind;

const ValueTree* argumentOf(const Instruction& instruction, const char* name) {
  const auto index = instruction.schema->argumentIndexWithName(name);
  if (!index || static_cast<size_t>(*index) >= instruction.arguments.size()) return nullptr;
  return &instruction.arguments[static_cast<size_t>(*index)];
}

const c10::IValue* constantOf(const Instruction& instruction, const char* name) {
  const ValueTree* tree = argumentOf(instruction, name);
  return tree != nullptr && tree->kind == ValueTree::Kind::kConstant ? &tree->constant : nullptr;
}

std::optional<double> numberOf(const Instruction& instruction, const char* name) {
  const c10::IValue* value = constantOf(instruction, name);
  if (value == nullptr || !value->isScalar() || value->isComplexDouble()) return std::nullopt;
  return value->toScalar().to<double>();
}

bool isFalse(const Instruction& instruction, const char* name) {
  const c10::IValue* value = constantOf(instruction, name);
  return value != nullptr && value->isBool() && !value->toBool();
}

// None counts as no slot; anything else that is no slot makes it fail.
bool slotOrNone(const Instruction& instruction, const char* name, SlotId& slot) {
  const ValueTree* tree = argumentOf(instruction, name);
  if (tree == nullptr) return false;
  slot = tree->isSlot() ? tree->slot : kNoSlot;
  return tree->isSlot() || (tree->kind == ValueTree::Kind::kConstant && tree->constant.isNone());
}

std::optional<std::vector<int64_t>> pairOf(const Instruction& instruction, const char* name) {
  const c10::IValue* value = constantOf(instruction, name);
  if (value == nullptr || !value->isIntList()) return std::nullopt;
  auto list = value->toIntVector();
  if (list.size() == 1) list.push_back(list.front());
  if (list.size() != 2) return std::nullopt;
  return list;
}

std::optional<PostActivation> activationOf(const Instruction& instruction) {
  std::string_view name = instruction.schema->name();
  if (name.substr(0, 6) != "aten::") return std::nullopt;
  name.remove_prefix(6);
  if (!name.empty() && name.back() == '_') name.remove_suffix(1);
  static constexpr std::array<std::pair<std::string_view, Kind>, 6> kPlain = {
      {{"relu", Kind::kRelu},
       {"hardswish", Kind::kHardswish},
       {"hardsigmoid", Kind::kHardsigmoid},
       {"silu", Kind::kSilu},
       {"sigmoid", Kind::kSigmoid},
       {"tanh", Kind::kTanh}}};
  for (const auto& [plain, kind] : kPlain) {
    if (name == plain) return PostActivation{kind};
  }
  if (name == "relu6") return PostActivation{Kind::kClamp, 0, 6};
  if (name == "hardtanh") {
    const auto low = numberOf(instruction, "min_val");
    const auto high = numberOf(instruction, "max_val");
    if (low && high) return PostActivation{Kind::kClamp, *low, *high};
  }
  if (name == "leaky_relu") {
    const auto slope = numberOf(instruction, "negative_slope");
    if (slope) return PostActivation{Kind::kLeakyRelu, *slope};
  }
  if (name == "gelu") {
    const c10::IValue* approximate = constantOf(instruction, "approximate");
    if (approximate != nullptr && approximate->isString()) {
      return PostActivation{approximate->toStringRef() == "tanh" ? Kind::kGeluTanh : Kind::kGelu};
    }
  }
  return std::nullopt;
}

// Operators that give back, or hand on, their first argument in evaluation mode.
bool isIdentity(const Instruction& instruction) {
  return traitsOf(instruction.schema->name()).isDropout && isFalse(instruction, "train");
}

// Sets what a chain has of its convolution's other arguments. False for one that is no plain 2d convolution.
bool readConvolution(const Instruction& instruction, FusedChain& chain) {
  const auto stride = pairOf(instruction, "stride");
  const auto padding = pairOf(instruction, "padding");
  const auto dilation = pairOf(instruction, "dilation");
  const auto groups = numberOf(instruction, "groups");
  if (!stride || !padding || !dilation || !groups) return false;
  if (instruction.schema->name() != "aten::conv2d" && !isFalse(instruction, "transposed")) return false;
  chain.stride = *stride;
  chain.padding = *padding;
  chain.dilation = *dilation;
  chain.groups = static_cast<int64_t>(*groups);
  chain.groupsArgument = *instruction.schema->argumentIndexWithName("groups");
  return true;
}

// A chain of a convolution or linear layer alone; none for another operator.
std::optional<FusedChain> anchoredAt(const Instruction& instruction) {
  const auto& name = instruction.schema->name();
  FusedChain chain;
  if (name == "aten::linear") {
    chain.kind = FusedChain::Kind::kLinear;
  } else if (name == "aten::conv2d" || name == "aten::_convolution" || name == "aten::convolution") {
    if (!readConvolution(instruction, chain)) return std::nullopt;
  } else {
    return std::nullopt;
  }
  if (!slotOrNone(instruction, "input", chain.input) || !slotOrNone(instruction, "weight", chain.weight) ||
      !slotOrNone(instruction, "bias", chain.bias) || chain.input == kNoSlot || chain.weight == kNoSlot ||
      instruction.results.size() != 1 || !instruction.results[0].isSlot()) {
    return std::nullopt;
  }
  chain.product = chain.result = instruction.results[0].slot;
  return chain;
}

size_t occurrences(const Instruction& instruction, SlotId slot) {
  size_t count = 0;
  for (const auto& argument : instruction.arguments) {
    forEachSlot(argument, [&](SlotId found) { count += found == slot ? 1 : 0; });
  }
  return count;
}

}  // namespace

FusionPlan::FusionPlan(std::shared_ptr<const ExecutionPlan> plan, Norms norms)
    : plan_(std::move(plan)), norms_(norms), storage_(plan_->program()) {
  findUses();
  findWrites();
  findChains();
  layouts_ = planRelayouts(*plan_, chains_, chainOf_, storage_, writes_);
}

void FusionPlan::findUses() {
  const auto& program = plan_->program();
  const int32_t count = plan_->instructionCount();
  uses_.resize(program.slots.size());
  producer_.assign(program.slots.size(), -1);
  const auto use = [&](SlotId slot, int32_t at) {
    if (uses_[slot].empty() || uses_[slot].back() != at) uses_[slot].push_back(at);
  };
  for (int32_t i = 0; i < count; ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.runs()) continue;
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) { use(slot, i); });
    }
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) {
        if (program.slots[slot].kind == Slot::Kind::kResult && producer_[slot] < 0) producer_[slot] = i;
      });
    }
  }
  forEachSlot(program.output, [&](SlotId slot) { use(slot, count); });
}

void FusionPlan::findWrites() {
  const auto& program = plan_->program();
  writes_.resize(program.slots.size());
  for (int32_t i = 0; i < plan_->instructionCount(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.runs()) continue;
    const bool evaluates = isFalse(instruction, "training") || isFalse(instruction, "use_input_stats");
    for (const SlotId slot :
         writtenSlots(instruction, evaluates ? Statistics::kIgnored : Statistics::kWritten)) {
      writes_[storage_.of(slot)].push_back(i);
    }
  }
}

bool FusionPlan::isFixed(SlotId slot) const {
  const auto kind = plan_->program().slots[slot].kind;
  return kind != Slot::Kind::kResult && kind != Slot::Kind::kInput && writes_[storage_.of(slot)].empty();
}

int32_t FusionPlan::nextUse(SlotId slot, int32_t after) const {
  const auto found = std::upper_bound(uses_[slot].begin(), uses_[slot].end(), after);
  return found == uses_[slot].end() ? -1 : *found;
}

void FusionPlan::findChains() {
  chainOf_.assign(plan_->instructionCount(), -1);
  for (int32_t i = 0; i < plan_->instructionCount(); ++i) {
    const auto& instruction = plan_->program().instructions[i];
    if (!instruction.runs() || instruction.schema == nullptr || chainOf_[i] >= 0) continue;
    auto chain = anchoredAt(instruction);
    if (!chain) continue;
    chain->anchor = i;
    if (!canBeFused(*chain)) continue;
    grow(*chain);
    const auto id = static_cast<int32_t>(chains_.size());
    chainOf_[i] = id;
    for (const int32_t member : chain->absorbed) chainOf_[member] = id;
    chains_.push_back(std::move(*chain));
  }
}

// Whether the anchor's weights stay, and its tensors are of the ranks and dtypes that steps are written for.
bool FusionPlan::canBeFused(const FusedChain& anchor) const {
  const auto& input = plan_->program().slots[anchor.input];
  const auto& weight = plan_->program().slots[anchor.weight];
  if (!isFixed(anchor.weight) || (anchor.bias != kNoSlot && !isFixed(anchor.bias))) return false;
  if (producer_[anchor.product] != anchor.anchor) return false;
  if (weight.dtype != input.dtype || (weight.dtype != at::kFloat && weight.dtype != at::kDouble))
    return false;
  if (anchor.kind == FusedChain::Kind::kLinear) return weight.sizes.size() == 2 && input.sizes.size() >= 2;
  return weight.sizes.size() == 4 && input.sizes.size() == 4;
}

// Takes in one instruction after the other as long as each is the only one that sees what comes before it.
void FusionPlan::grow(FusedChain& chain) const {
  const auto& program = plan_->program();
  SlotId current = chain.product;
  int32_t at = chain.anchor;
  for (;;) {
    const int32_t next = nextUse(current, at);
    if (next < 0 || next >= plan_->instructionCount() || chainOf_[next] >= 0) return;
    const auto& instruction = program.instructions[next];
    if (instruction.schema == nullptr || instruction.results.size() != 1 ||
        !instruction.results[0].isSlot() || occurrences(instruction, current) != 1) {
      return;
    }
    const SlotId result = instruction.results[0].slot;
    const bool inPlace = result == current;
    if (!inPlace && (nextUse(current, next) >= 0 || producer_[result] != next)) return;
    if (program.slots[result].dtype != program.slots[chain.product].dtype ||
        program.slots[result].sizes != program.slots[chain.product].sizes) {
      return;
    }
    const bool first = instruction.arguments[0].isSlot() && instruction.arguments[0].slot == current;
    const bool taken = (first && isIdentity(instruction)) || absorbNorm(chain, next, current) ||
                       absorbAddition(chain, next, current) || absorbActivation(chain, next, current);
    if (!taken) return;
    chain.absorbed.push_back(next);
    chain.result = current = result;
    at = next;
    if (chain.activation.kind != Kind::kNone) return;
  }
}

bool FusionPlan::absorbNorm(FusedChain& chain, int32_t at, SlotId current) const {
  const auto& instruction = plan_->program().instructions[at];
  if (norms_ == Norms::kKept || instruction.schema->name() != "aten::batch_norm" || chain.normalized ||
      chain.other != kNoSlot) {
    return false;
  }
  const auto& sizes = plan_->program().slots[current].sizes;
  // Channels must be what the weight's first dimension makes.
  if (chain.kind == FusedChain::Kind::kLinear && sizes.size() != 2) return false;
  FusedChain::BatchNorm norm;
  const auto epsilon = numberOf(instruction, "eps");
  if (!isFalse(instruction, "training") || !epsilon || !instruction.arguments[0].isSlot() ||
      instruction.arguments[0].slot != current || !slotOrNone(instruction, "weight", norm.weight) ||
      !slotOrNone(instruction, "bias", norm.bias) || !slotOrNone(instruction, "running_mean", norm.mean) ||
      !slotOrNone(instruction, "running_var", norm.variance) || norm.mean == kNoSlot ||
      norm.variance == kNoSlot) {
    return false;
  }
  for (const SlotId slot : {norm.weight, norm.bias, norm.mean, norm.variance}) {
    if (slot != kNoSlot && !isFixed(slot)) return false;
  }
  norm.epsilon = *epsilon;
  chain.norm = norm;
  chain.normalized = true;
  return true;
}

bool FusionPlan::absorbAddition(FusedChain& chain, int32_t at, SlotId current) const {
  const auto& program = plan_->program();
  const auto& instruction = program.instructions[at];
  const auto& name = instruction.schema->name();
  if ((name != "aten::add" && name != "aten::add_") || chain.other != kNoSlot) return false;
  if (instruction.schema->overload_name() != "Tensor" || numberOf(instruction, "alpha") != 1.0) return false;
  if (!instruction.arguments[0].isSlot() || !instruction.arguments[1].isSlot()) return false;
  const bool left = instruction.arguments[0].slot == current;
  if (name == "aten::add_" && !left) return false;
  const SlotId other = instruction.arguments[left ? 1 : 0].slot;
  const auto& slot = program.slots[other];
  if (slot.sizes != program.slots[current].sizes || slot.dtype != program.slots[current].dtype) return false;
  // It is read when the anchor runs, and must be by then what it is here.
  if (producer_[other] >= chain.anchor) return false;
  for (const int32_t write : writes_[storage_.of(other)]) {
    if (write >= chain.anchor && write < at &&
        std::find(chain.absorbed.begin(), chain.absorbed.end(), write) == chain.absorbed.end()) {
      return false;
    }
  }
  chain.other = other;
  return true;
}

bool FusionPlan::absorbActivation(FusedChain& chain, int32_t at, SlotId current) const {
  const auto& instruction = plan_->program().instructions[at];
  if (!instruction.arguments[0].isSlot() || instruction.arguments[0].slot != current) return false;
  const auto activation = activationOf(instruction);
  if (!activation) return false;
  chain.activation = *activation;
  return true;
}

}  // namespace torchsearch

#include "core/forward/fusion_plan.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

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
  const auto& name = instruction.schema->name();
  static constexpr std::array<std::string_view, 6> kDropouts = {
      "aten::dropout",          "aten::dropout_",      "aten::feature_dropout",
      "aten::feature_dropout_", "aten::alpha_dropout", "aten::feature_alpha_dropout"};
  return std::find(kDropouts.begin(), kDropouts.end(), name) != kDropouts.end() &&
         isFalse(instruction, "train");
}

// Operators that give the same elements whatever their operands' layout, and write through no view.
bool ignoresLayout(const Instruction& instruction) {
  static constexpr std::array<std::string_view, 34> kNames = {"batch_norm",
                                                              "add",
                                                              "sub",
                                                              "mul",
                                                              "div",
                                                              "relu",
                                                              "relu6",
                                                              "hardtanh",
                                                              "hardswish",
                                                              "hardsigmoid",
                                                              "silu",
                                                              "sigmoid",
                                                              "tanh",
                                                              "gelu",
                                                              "leaky_relu",
                                                              "elu",
                                                              "mish",
                                                              "clamp",
                                                              "softplus",
                                                              "dropout",
                                                              "max_pool2d",
                                                              "avg_pool2d",
                                                              "adaptive_avg_pool2d",
                                                              "adaptive_max_pool2d",
                                                              "cat",
                                                              "conv2d",
                                                              "_convolution",
                                                              "convolution",
                                                              "feature_dropout",
                                                              "upsample_nearest2d",
                                                              "upsample_bilinear2d",
                                                              "group_norm",
                                                              "mean",
                                                              "exp"};
  std::string_view name = instruction.schema->name();
  if (name.substr(0, 6) != "aten::") return false;
  name.remove_prefix(6);
  if (!name.empty() && name.back() == '_') name.remove_suffix(1);
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

size_t occurrences(const Instruction& instruction, SlotId slot) {
  size_t count = 0;
  for (const auto& argument : instruction.arguments) {
    forEachSlot(argument, [&](SlotId found) { count += found == slot ? 1 : 0; });
  }
  return count;
}

// Whether the strides, but for dimensions of one element, are those of elements in this order of dimensions.
bool isDense(const Slot& slot, const std::vector<size_t>& order) {
  int64_t expected = 1;
  for (auto d = order.rbegin(); d != order.rend(); ++d) {
    if (slot.sizes[*d] != 1 && slot.strides[*d] != expected) return false;
    expected *= slot.sizes[*d];
  }
  return true;
}

}  // namespace

FusionPlan::FusionPlan(std::shared_ptr<const ExecutionPlan> plan, Norms norms)
    : plan_(std::move(plan)), norms_(norms), storage_(plan_->program()) {
  findUses();
  findWrites();
  findChains();
  findRelayouts();
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
  const auto& program = plan_->program();
  chainOf_.assign(plan_->instructionCount(), -1);
  for (int32_t i = 0; i < plan_->instructionCount(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.runs() || instruction.schema == nullptr || chainOf_[i] >= 0) continue;
    const auto& name = instruction.schema->name();
    FusedChain chain;
    chain.anchor = i;
    if (name == "aten::linear") {
      chain.kind = FusedChain::Kind::kLinear;
    } else if (name == "aten::conv2d" || name == "aten::_convolution" || name == "aten::convolution") {
      const auto stride = pairOf(instruction, "stride");
      const auto padding = pairOf(instruction, "padding");
      const auto dilation = pairOf(instruction, "dilation");
      const auto groups = numberOf(instruction, "groups");
      if (!stride || !padding || !dilation || !groups) continue;
      if (name != "aten::conv2d" && !isFalse(instruction, "transposed")) continue;
      chain.stride = *stride;
      chain.padding = *padding;
      chain.dilation = *dilation;
      chain.groups = static_cast<int64_t>(*groups);
      chain.groupsArgument = *instruction.schema->argumentIndexWithName("groups");
    } else {
      continue;
    }
    if (!slotOrNone(instruction, "input", chain.input) || !slotOrNone(instruction, "weight", chain.weight) ||
        !slotOrNone(instruction, "bias", chain.bias) || chain.input == kNoSlot || chain.weight == kNoSlot ||
        instruction.results.size() != 1 || !instruction.results[0].isSlot()) {
      continue;
    }
    chain.product = chain.result = instruction.results[0].slot;
    const auto& input = program.slots[chain.input];
    const auto& weight = program.slots[chain.weight];
    const size_t rank = chain.kind == FusedChain::Kind::kConvolution ? 4 : 2;
    if (!isFixed(chain.weight) || (chain.bias != kNoSlot && !isFixed(chain.bias)) ||
        weight.sizes.size() != rank || producer_[chain.product] != i || weight.dtype != input.dtype ||
        (chain.kind == FusedChain::Kind::kConvolution ? input.sizes.size() != 4 : input.sizes.size() < 2) ||
        (weight.dtype != at::kFloat && weight.dtype != at::kDouble)) {
      continue;
    }
    grow(chain);
    const auto id = static_cast<int32_t>(chains_.size());
    chainOf_[i] = id;
    for (const int32_t member : chain.absorbed) chainOf_[member] = id;
    chains_.push_back(std::move(chain));
  }
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

Layout FusionPlan::recordedLayout(SlotId slot) const {
  const auto& description = plan_->program().slots[slot];
  const size_t rank = description.sizes.size();
  if (description.strides.size() != rank) return Layout::kOther;
  std::vector<size_t> order(rank);
  for (size_t d = 0; d < rank; ++d) order[d] = d;
  if (isDense(description, order)) return Layout::kContiguous;
  if (rank == 4 && isDense(description, {0, 2, 3, 1})) return Layout::kChannelsLast;
  return Layout::kOther;
}

bool FusionPlan::keepsLayout(const FusedChain& chain) const {
  return pinned_[storage_.of(chain.result)];
}

void FusionPlan::findRelayouts() {
  pinned_.assign(plan_->program().slots.size(), false);
  while (!tryRelayouts()) {
  }
}

// Follows channels-last tensors through the program. False when one had to be pinned: then once more.
bool FusionPlan::tryRelayouts() {
  const auto& program = plan_->program();
  relayouts_.clear();
  std::vector<bool> reordered(program.slots.size(), false);
  const auto mark = [&](SlotId slot) { reordered[slot] = program.slots[slot].sizes.size() == 4; };
  for (int32_t i = 0; i < plan_->instructionCount(); ++i) {
    const auto& instruction = program.instructions[i];
    if (!instruction.runs()) continue;
    const int32_t id = chainOf_[i];
    if (id >= 0) {
      const auto& chain = chains_[id];
      if (chain.anchor == i && chain.kind == FusedChain::Kind::kConvolution && !keepsLayout(chain)) {
        mark(chain.result);
      }
      if (chain.kind == FusedChain::Kind::kConvolution) continue;
      if (chain.anchor != i) continue;
    }
    bool pinnedResult = false;
    for (const auto& result : instruction.results) {
      forEachSlot(result, [&](SlotId slot) { pinnedResult = pinnedResult || pinned_[storage_.of(slot)]; });
    }
    const bool ignores = instruction.schema != nullptr && ignoresLayout(instruction) && !pinnedResult;
    bool any = false;
    for (const auto& argument : instruction.arguments) {
      forEachSlot(argument, [&](SlotId slot) {
        if (!reordered[slot]) return;
        any = true;
        if (!ignores) relayouts_.push_back({i, slot, recordedLayout(slot)});
      });
    }
    if (!any) continue;
    if (!ignores) {
      for (const auto& argument : instruction.arguments) {
        forEachSlot(argument, [&](SlotId slot) { reordered[slot] = false; });
      }
      continue;
    }
    for (const auto& result : instruction.results) forEachSlot(result, mark);
  }
  // A copy in another layout parts a tensor from its views: no matter, unless one of them is written later
  // on.
  for (const auto& [instruction, slot, layout] : relayouts_) {
    const SlotId storage = storage_.of(slot);
    const auto& writes = writes_[storage];
    if (pinned_[storage]) continue;
    if (layout == Layout::kOther || (!writes.empty() && writes.back() >= instruction)) {
      pinned_[storage] = true;
      return false;
    }
  }
  return true;
}

}  // namespace torchsearch

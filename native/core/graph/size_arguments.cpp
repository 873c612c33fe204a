#include "core/graph/size_arguments.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/graph/constant_indices.h"

namespace torchsearch {

namespace {

class SizeArguments {
 public:
  SizeArguments(const Dependencies& dependencies, const std::vector<int64_t>& widths)
      : dependencies_(dependencies), widths_(widths) {}

  std::vector<ArgumentOverride> all() {
    const auto& instructions = dependencies_.program().instructions;
    for (size_t i = 0; i < instructions.size(); ++i) {
      index_ = static_cast<int32_t>(i);
      instruction_ = &instructions[i];
      visit();
    }
    return std::move(overrides_);
  }

 private:
  using Rule = void (SizeArguments::*)(const char* argument);
  struct Row {
    const char* argument;
    Rule rule;
  };

  // By operator, the argument that follows a dimension's size, and how.
  static const std::unordered_map<std::string, std::vector<Row>>& table() {
    using S = SizeArguments;
    static const std::unordered_map<std::string, std::vector<Row>> rows = {
        {"aten::view", {{"size", &S::resultSizes}}},
        {"aten::_unsafe_view", {{"size", &S::resultSizes}}},
        {"aten::reshape", {{"shape", &S::resultSizes}}},
        {"aten::unflatten", {{"sizes", &S::unflattened}}},
        {"aten::expand", {{"size", &S::resultSizes}}},
        {"aten::broadcast_to", {{"size", &S::resultSizes}}},
        {"aten::zeros", {{"size", &S::resultSizes}}},
        {"aten::ones", {{"size", &S::resultSizes}}},
        {"aten::empty", {{"size", &S::resultSizes}}},
        {"aten::full", {{"size", &S::resultSizes}}},
        {"aten::rand", {{"size", &S::resultSizes}}},
        {"aten::randn", {{"size", &S::resultSizes}}},
        {"aten::new_zeros", {{"size", &S::resultSizes}}},
        {"aten::new_ones", {{"size", &S::resultSizes}}},
        {"aten::new_empty", {{"size", &S::resultSizes}}},
        {"aten::new_full", {{"size", &S::resultSizes}}},
        {"aten::group_norm", {{"num_groups", &S::groupsOfChannels}}},
        {"aten::split_with_sizes", {{"split_sizes", &S::pieces}}},
        {"aten::unsafe_split_with_sizes", {{"split_sizes", &S::pieces}}},
        {"aten::split", {{"split_size", &S::pieceSize}}},
        {"aten::slice", {{"start", &S::index}, {"end", &S::index}}},
        {"aten::narrow", {{"start", &S::index}, {"length", &S::length}}},
        {"aten::index", {{"indices", &S::indices}}},
        {"aten::select", {{"index", &S::selected}}},
        {"aten::repeat", {{"repeats", &S::copies}}},
        {"aten::tile", {{"dims", &S::copies}}},
        {"aten::repeat_interleave", {{"repeats", &S::copiesOfEach}}},
    };
    return rows;
  }

  void visit() {
    const auto found = table().find(instruction_->schema->name());
    if (found != table().end()) {
      for (const Row& row : found->second) {
        if (has(row.argument) && argument(row.argument).kind == ValueTree::Kind::kConstant) {
          (this->*row.rule)(row.argument);
        } else if (row.rule == &SizeArguments::indices) {
          indices(row.argument);
        }
      }
    } else if (has("groups") && has("input") && has("weight")) {
      convolutionGroups();
    } else if (has("normalized_shape")) {
      lastSizes("normalized_shape");
    }
  }

  bool has(const char* name) const { return instruction_->schema->argumentIndexWithName(name).has_value(); }
  int32_t position(const char* name) const { return *instruction_->schema->argumentIndexWithName(name); }
  const ValueTree& argument(const char* name) const { return instruction_->arguments[position(name)]; }
  SlotId input() const { return instruction_->arguments[0].slot; }
  int64_t recorded(SlotId slot, int64_t dimension) const {
    return dependencies_.program().slots[slot].sizes[dimension];
  }
  int64_t size(SlotId slot, int64_t dimension) const {
    return dependencies_.keptCount(slot, dimension, widths_);
  }
  int64_t rank(SlotId slot) const {
    return static_cast<int64_t>(dependencies_.program().slots[slot].sizes.size());
  }
  int64_t dimension() const {
    const int64_t dim = argument("dim").constant.toInt();
    return dim < 0 ? dim + rank(input()) : dim;
  }

  void replace(const char* name, c10::IValue value) {
    overrides_.push_back({index_, position(name), std::move(value)});
  }

  // Every size but -1 is that of one dimension of a tensor; dimensions from `first` on.
  void sizesOf(const char* name, SlotId slot, int64_t first) {
    const auto& constant = argument(name).constant;
    if (!constant.isIntList()) return;
    const auto before = constant.toIntVector();
    auto after = before;
    for (size_t k = 0; k < after.size(); ++k) {
      const int64_t d = first + static_cast<int64_t>(k);
      if (after[k] >= 0 && d >= 0 && d < rank(slot)) after[k] = size(slot, d);
    }
    if (before != after) replace(name, c10::List<int64_t>(after));
  }

  void resultSizes(const char* name) { sizesOf(name, instruction_->results[0].slot, 0); }

  void unflattened(const char* name) { sizesOf(name, instruction_->results[0].slot, dimension()); }

  void lastSizes(const char* name) {
    const auto count = static_cast<int64_t>(argument(name).constant.toIntVector().size());
    sizesOf(name, input(), rank(input()) - count);
  }

  // As many channels a group as before.
  void groupsOfChannels(const char* name) {
    const int64_t before = argument(name).constant.toInt();
    if (before == 1) return;
    const int64_t after = size(input(), 1) * before / recorded(input(), 1);
    if (after != before) replace(name, after);
  }

  void convolutionGroups() {
    const int64_t before = argument("groups").constant.toInt();
    if (before == 1) return;
    const SlotId weight = argument("weight").slot;
    // Either groups were dropped, or channels within every group.
    if (size(weight, 1) < recorded(weight, 1)) return;
    // An input without a batch has its channels first.
    const int64_t channel = rank(input()) == rank(weight) ? 1 : 0;
    const int64_t after = size(input(), channel) * before / recorded(input(), channel);
    if (after != before) replace("groups", after);
  }

  // The common size of pieces that stay equal.
  void pieceSize(const char* name) {
    const auto& constant = argument(name).constant;
    if (!constant.isInt()) return;
    const SlotId first = instruction_->results[0].children[0].slot;
    const int64_t after = size(first, dimension());
    if (after != recorded(first, dimension()) && after != constant.toInt()) replace(name, after);
  }

  void pieces(const char* name) {
    const auto before = argument(name).constant.toIntVector();
    auto after = before;
    for (size_t k = 0; k < after.size(); ++k) {
      after[k] = size(instruction_->results[0].children[k].slot, dimension());
    }
    if (before != after) replace(name, c10::List<int64_t>(after));
  }

  // How many of the first `end` indices of the input's dimension are kept.
  int64_t keptBefore(int64_t end) const { return keptBefore(end, dimension()); }
  int64_t keptBefore(int64_t end, int64_t along) const {
    const auto kept = dependencies_.kept(input(), along, widths_);
    return std::lower_bound(kept.begin(), kept.end(), end) - kept.begin();
  }

  // A place between two channels, or that of one; negative when counted from the end.
  void index(const char* name) {
    if (!argument(name).constant.isInt()) return;
    // Cut with a step, what lies between two places that are cut out goes with them: they stay the same.
    if (has("step") && argument("step").constant.isInt() && argument("step").constant.toInt() != 1) return;
    const int64_t d = dimension();
    const int64_t whole = recorded(input(), d);
    if (size(input(), d) == whole) return;
    const int64_t before = argument(name).constant.toInt();
    const int64_t place = before < 0 ? before + whole : before;
    if (place < 0 || place >= whole) return;  // beyond either end, as the default end is
    const int64_t after = before < 0 ? keptBefore(place) - size(input(), d) : keptBefore(place);
    // No negative number stands for the end itself.
    if (after != before) replace(name, before < 0 && after == 0 ? size(input(), d) : after);
  }

  // The place of one channel. Where that one is not kept, nothing reads the result, and any other will do.
  void selected(const char* name) {
    if (!argument(name).constant.isInt()) return;
    const int64_t d = dimension();
    const int64_t whole = recorded(input(), d);
    const int64_t left = size(input(), d);
    if (left == whole) return;
    const int64_t before = argument(name).constant.toInt();
    const int64_t place = std::min(keptBefore(before < 0 ? before + whole : before), left - 1);
    const int64_t after = before < 0 ? place - left : place;
    if (after != before) replace(name, after);
  }

  // The places of channels that stay, in a vector of constants.
  void indices(const char* name) {
    c10::List<std::optional<at::Tensor>> list;
    bool changed = false;
    int64_t d = 0;
    for (const auto& index : argument(name).children) {
      const int64_t along = d++;
      if (!index.isSlot()) {
        list.push_back(std::nullopt);
        continue;
      }
      const auto before = constantIndices(dependencies_.program(), index.slot);
      if (!before.has_value()) return;  // then all channels stay
      const int64_t whole = recorded(input(), along);
      const int64_t left = size(input(), along);
      auto after = *before;
      for (auto& place : after) {
        place = place < 0 ? keptBefore(place + whole, along) - left : keptBefore(place, along);
      }
      changed = changed || after != *before;
      list.push_back(at::tensor(after, at::kLong));
    }
    if (changed) replace(name, list);
  }

  // How often a dimension of the result holds that of the input.
  int64_t copiesAlong(int64_t d) const {
    const SlotId result = instruction_->results[0].slot;
    const int64_t own = d - (rank(result) - rank(input()));
    const int64_t one = own < 0 ? 1 : size(input(), own);
    return one == 0 ? 0 : size(result, d) / one;
  }

  void copies(const char* name) {
    const auto before = argument(name).constant.toIntVector();
    auto after = before;
    const int64_t first = rank(instruction_->results[0].slot) - static_cast<int64_t>(before.size());
    for (size_t k = 0; k < after.size(); ++k) {
      if (after[k] > 1) after[k] = copiesAlong(first + static_cast<int64_t>(k));
    }
    if (before != after) replace(name, c10::List<int64_t>(after));
  }

  void copiesOfEach(const char* name) {
    if (!argument(name).constant.isInt() || !argument("dim").constant.isInt()) return;
    const int64_t after = copiesAlong(dimension());
    if (after != argument(name).constant.toInt()) replace(name, after);
  }

  void length(const char* name) {
    if (!argument(name).constant.isInt()) return;
    const int64_t before = argument(name).constant.toInt();
    const int64_t after = size(instruction_->results[0].slot, dimension());
    if (after != before && before == recorded(instruction_->results[0].slot, dimension()))
      replace(name, after);
  }

  const Dependencies& dependencies_;
  const std::vector<int64_t>& widths_;
  const Instruction* instruction_ = nullptr;
  int32_t index_ = 0;
  std::vector<ArgumentOverride> overrides_;
};

}  // namespace

std::vector<ArgumentOverride> sizeArguments(const Dependencies& dependencies,
                                            const std::vector<int64_t>& widths) {
  return SizeArguments(dependencies, widths).all();
}

}  // namespace torchsearch

#include "core/graph/size_arguments.h"

#include <algorithm>
#include <string>

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
  void visit() {
    const std::string& name = instruction_->schema->name();
    if (name == "aten::view" || name == "aten::_unsafe_view") {
      shape("size");
    } else if (name == "aten::reshape") {
      shape("shape");
    } else if (name == "aten::expand" || name == "aten::broadcast_to") {
      shape("size");
    } else if (has("groups") && has("input")) {  // a convolution's
      groups();
    } else if (has("normalized_shape")) {
      normalizedShape();
    } else if (name == "aten::group_norm") {
      groupCount();
    } else if (name == "aten::split_with_sizes") {
      splitSizes();
    } else if (name == "aten::split") {
      splitSize();
    } else if (name == "aten::slice" || name == "aten::narrow") {
      sliceBounds();
    }
  }

  bool has(const char* name) const { return instruction_->schema->argumentIndexWithName(name).has_value(); }
  int32_t position(const char* name) const { return *instruction_->schema->argumentIndexWithName(name); }
  const ValueTree& argument(const char* name) const { return instruction_->arguments[position(name)]; }
  int64_t recorded(SlotId slot, int64_t dimension) const {
    return dependencies_.program().slots[slot].sizes[dimension];
  }
  int64_t size(SlotId slot, int64_t dimension) const {
    return dependencies_.keptCount(slot, dimension, widths_);
  }
  int64_t rank(SlotId slot) const {
    return static_cast<int64_t>(dependencies_.program().slots[slot].sizes.size());
  }

  void replace(const char* name, c10::IValue value) {
    overrides_.push_back({index_, position(name), std::move(value)});
  }
  void replaceList(const char* name, const std::vector<int64_t>& before, const std::vector<int64_t>& after) {
    if (before != after) replace(name, c10::List<int64_t>(after));
  }

  void shape(const char* name) {
    if (!has(name) || !argument(name).constant.isIntList()) return;
    const auto before = argument(name).constant.toIntVector();
    auto after = before;
    const SlotId result = instruction_->results[0].slot;
    for (size_t d = 0; d < after.size(); ++d) {
      if (after[d] != -1) after[d] = size(result, static_cast<int64_t>(d));
    }
    replaceList(name, before, after);
  }

  void groups() {
    const int64_t before = argument("groups").constant.toInt();
    if (before == 1) return;
    const SlotId input = argument("input").slot;
    // An input without a batch has its channels first.
    const int64_t channel = rank(input) == rank(argument("weight").slot) ? 1 : 0;
    // Either groups were dropped, or channels within every group.
    const SlotId weight = argument("weight").slot;
    const bool narrowGroups = size(weight, 1) < recorded(weight, 1);
    const int64_t after = narrowGroups ? before : size(input, channel) * before / recorded(input, channel);
    if (after != before) replace("groups", after);
  }

  void normalizedShape() {
    const auto before = argument("normalized_shape").constant.toIntVector();
    const SlotId input = argument("input").slot;
    auto after = before;
    for (size_t d = 0; d < after.size(); ++d) {
      after[d] = size(input, rank(input) - static_cast<int64_t>(after.size() - d));
    }
    replaceList("normalized_shape", before, after);
  }

  void groupCount() {
    const int64_t before = argument("num_groups").constant.toInt();
    const SlotId input = argument("input").slot;
    if (before == 1) return;
    const int64_t after = before * size(input, 1) / recorded(input, 1);
    if (after != before) replace("num_groups", after);
  }

  int64_t splitDimension() const {
    const int64_t dim = argument("dim").constant.toInt();
    return dim < 0 ? dim + rank(argument("self").slot) : dim;
  }

  void splitSizes() {
    const auto before = argument("split_sizes").constant.toIntVector();
    auto after = before;
    for (size_t k = 0; k < after.size(); ++k) {
      after[k] = size(instruction_->results[0].children[k].slot, splitDimension());
    }
    replaceList("split_sizes", before, after);
  }

  void splitSize() {
    if (!has("split_size") || !argument("split_size").constant.isInt()) return;
    const int64_t before = argument("split_size").constant.toInt();
    const SlotId first = instruction_->results[0].children[0].slot;
    const int64_t after = size(first, splitDimension());
    if (after != recorded(first, splitDimension()) && after != before) replace("split_size", after);
  }

  void sliceBounds() {
    const SlotId input = argument("self").slot;
    const int64_t dim = splitDimension();
    const int64_t whole = recorded(input, dim);
    const int64_t length = recorded(instruction_->results[0].slot, dim);
    if (size(input, dim) == whole) return;
    const auto kept = dependencies_.kept(input, dim, widths_);
    for (const char* name : {"start", "end"}) {
      if (length == whole || !has(name) || !argument(name).constant.isInt()) continue;
      int64_t before = argument(name).constant.toInt();
      if (before < 0) before += whole;
      if (before >= whole) continue;
      replace(name, static_cast<int64_t>(std::lower_bound(kept.begin(), kept.end(), before) - kept.begin()));
    }
    if (has("length")) replace("length", size(instruction_->results[0].slot, dim));
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

#include "core/quantization/quantizable_layers.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>

namespace torchsearch {

namespace {

// Where an operator takes its two factors. Either may be the weight of a product; the second of a
// convolution always is.
struct Factors {
  std::string_view op;
  int32_t first;
  int32_t second;
  bool convolution;
};

constexpr std::array<Factors, 17> kFactors = {{{"aten::conv1d", 0, 1, true},
                                               {"aten::conv2d", 0, 1, true},
                                               {"aten::conv3d", 0, 1, true},
                                               {"aten::_convolution", 0, 1, true},
                                               {"aten::convolution", 0, 1, true},
                                               {"aten::_convolution_mode", 0, 1, true},
                                               {"aten::conv_transpose1d", 0, 1, true},
                                               {"aten::conv_transpose2d", 0, 1, true},
                                               {"aten::conv_transpose3d", 0, 1, true},
                                               {"aten::linear", 0, 1, true},
                                               {"aten::addmm", 1, 2, false},
                                               {"aten::addbmm", 1, 2, false},
                                               {"aten::baddbmm", 1, 2, false},
                                               {"aten::mm", 0, 1, false},
                                               {"aten::bmm", 0, 1, false},
                                               {"aten::matmul", 0, 1, false},
                                               {"aten::linalg_matmul", 0, 1, false}}};

const Factors* factorsOf(const Instruction& instruction) {
  if (instruction.schema == nullptr) return nullptr;
  const auto found = std::find_if(kFactors.begin(), kFactors.end(), [&](const Factors& factors) {
    return factors.op == instruction.schema->name();
  });
  return found == kFactors.end() ? nullptr : &*found;
}

// Of each slot, whether its value follows from the inputs, and from which parameters.
struct Origins {
  explicit Origins(const Program& program)
      : activation(program.slots.size(), false), parameters(program.slots.size()) {
    for (const SlotId input : program.inputs) activation[input] = true;
    for (size_t i = 0; i < program.slots.size(); ++i) {
      if (program.slots[i].kind == Slot::Kind::kParameter) parameters[i].insert(static_cast<SlotId>(i));
    }
    for (const auto& instruction : program.instructions) {
      if (!instruction.runs()) continue;
      bool follows = false;
      std::set<SlotId> from;
      for (const auto& argument : instruction.arguments) {
        forEachSlot(argument, [&](SlotId slot) {
          follows = follows || activation[slot];
          from.insert(parameters[slot].begin(), parameters[slot].end());
        });
      }
      for (const auto& result : instruction.results) {
        forEachSlot(result, [&](SlotId slot) {
          if (follows && program.slots[slot].kind == Slot::Kind::kResult) activation[slot] = true;
          if (!follows) parameters[slot].insert(from.begin(), from.end());
        });
      }
    }
  }

  bool isWeight(SlotId slot) const { return !activation[slot] && !parameters[slot].empty(); }

  std::vector<bool> activation;
  std::vector<std::set<SlotId>> parameters;  // of what doesn't follow from the inputs
};

bool isTransposed(const Instruction& instruction) {
  const std::string& name = instruction.schema->name();
  if (name.find("conv_transpose") != std::string::npos) return true;
  const auto position = instruction.schema->argumentIndexWithName("transposed");
  if (!position || !name.ends_with("convolution")) return false;
  const auto& argument = instruction.arguments[*position];
  return argument.kind == ValueTree::Kind::kConstant && argument.constant.isBool() &&
         argument.constant.toBool();
}

int64_t axisOf(const Instruction& instruction, const Factors& factors, bool weightFirst, int64_t rank) {
  if (factors.convolution) return isTransposed(instruction) ? 1 : 0;
  if (rank < 2) return 0;
  return weightFirst ? rank - 2 : rank - 1;
}

// "layer1.0.conv1" of "layer1.0.conv1.weight".
std::string nameOf(const Program& program, const std::set<SlotId>& parameters) {
  const std::string& name = program.slots[*parameters.begin()].name;
  const auto dot = name.rfind('.');
  const std::string leaf = dot == std::string::npos ? name : name.substr(dot + 1);
  if (leaf != "weight") return name;
  return dot == std::string::npos ? name : name.substr(0, dot);
}

std::optional<QuantLayer> layerOf(const Program& program, const Origins& origins, int32_t index) {
  const auto& instruction = program.instructions[index];
  const Factors* factors = factorsOf(instruction);
  if (factors == nullptr) return std::nullopt;
  const auto& first = instruction.arguments[factors->first];
  const auto& second = instruction.arguments[factors->second];
  if (!first.isSlot() || !second.isSlot()) return std::nullopt;
  const bool weightFirst = origins.isWeight(first.slot);
  const SlotId weight = weightFirst ? first.slot : second.slot;
  const SlotId input = weightFirst ? second.slot : first.slot;
  if (!origins.isWeight(weight) || !origins.activation[input]) return std::nullopt;
  if (weightFirst && factors->convolution) return std::nullopt;
  const Slot& slot = program.slots[weight];
  if (!at::isFloatingType(slot.dtype) || !at::isFloatingType(program.slots[input].dtype)) return std::nullopt;
  QuantLayer layer;
  layer.name = nameOf(program, origins.parameters[weight]);
  layer.op = instruction.schema->name();
  layer.node = program.graph->indexOf(instruction.node);
  layer.first = index;
  layer.inputArgument = weightFirst ? factors->second : factors->first;
  layer.weightArgument = weightFirst ? factors->first : factors->second;
  layer.input = input;
  layer.weight = weight;
  layer.weightSizes = slot.sizes;
  layer.dtype = slot.dtype;
  layer.axis = axisOf(instruction, *factors, weightFirst, static_cast<int64_t>(slot.sizes.size()));
  return layer;
}

// Union by key: layers with a key in common are of one group. Groups are numbered by their first layer.
class Grouping {
 public:
  explicit Grouping(size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), 0); }

  void add(size_t layer, std::pair<char, SlotId> key) {
    const auto [found, added] = owner_.emplace(key, layer);
    if (added) return;
    const size_t a = root(layer);
    const size_t b = root(found->second);
    parent_[std::max(a, b)] = std::min(a, b);
  }

  void number(std::vector<QuantLayer>& layers) {
    std::map<size_t, int32_t> numbers;
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i].group = numbers.emplace(root(i), static_cast<int32_t>(numbers.size())).first->second;
    }
  }

 private:
  size_t root(size_t layer) const {
    while (parent_[layer] != layer) layer = parent_[layer];
    return layer;
  }

  std::vector<size_t> parent_;
  std::map<std::pair<char, SlotId>, size_t> owner_;
};

}  // namespace

std::vector<QuantLayer> findQuantizableLayers(const Program& program, bool groupSharedInputs) {
  const Origins origins(program);
  std::vector<QuantLayer> layers;
  std::map<int32_t, size_t> byNode;
  std::set<int32_t> refused;  // a loop that computes with another weight each time
  for (int32_t i = 0; i < static_cast<int32_t>(program.instructions.size()); ++i) {
    if (!program.instructions[i].runs()) continue;
    auto layer = layerOf(program, origins, i);
    if (!layer) continue;
    const auto [found, added] = byNode.emplace(layer->node, layers.size());
    if (added) {
      layers.push_back(std::move(*layer));
    } else if (layers[found->second].weight != layer->weight) {
      refused.insert(layer->node);
    }
  }
  std::erase_if(layers, [&](const QuantLayer& layer) { return refused.count(layer.node) > 0; });
  std::map<std::string, int> taken;
  Grouping grouping(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const int count = ++taken[layers[i].name];
    if (count > 1) layers[i].name += "#" + std::to_string(count);
    for (const SlotId parameter : origins.parameters[layers[i].weight]) grouping.add(i, {'w', parameter});
    if (groupSharedInputs) grouping.add(i, {'x', layers[i].input});
  }
  grouping.number(layers);
  return layers;
}

}  // namespace torchsearch

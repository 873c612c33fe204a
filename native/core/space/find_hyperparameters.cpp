#include "core/space/find_hyperparameters.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/graph/operator_traits.h"
#include "core/space/converted_model.h"
#include "core/space/prefix_analysis.h"

namespace torchsearch {

namespace {

std::string modulePathOf(const std::string& parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string::npos ? parameter : parameter.substr(0, dot);
}

// Calls `visit` with the group of each index of a dimension that belongs to one.
template <typename Visit>
void forEachGroup(const Dependencies& dependencies, SlotId slot, int64_t dimension, Visit&& visit) {
  for (const Atom atom : dependencies.labels(slot, dimension)) {
    const int32_t group = dependencies.placeOf(atom).group;
    if (group != kNoGroup) visit(group);
  }
}

// By group. Each is named after the first parameter, in the order of execution, whose output the channels
// are: most weights have it in front. Otherwise (transposed convolutions, tables) after the first that they
// run along at all, then after one in a list of operands (of an Einstein sum), then after a buffer. Classes
// that no stored tensor holds are never narrowed: each group has a name.
std::vector<std::string> groupNames(const Dependencies& dependencies) {
  const Program& program = dependencies.program();
  std::vector<std::string> names(dependencies.groupCount());
  std::map<std::string, int> taken;
  const auto nameAlong = [&](SlotId slot, int64_t dimension) {
    forEachGroup(dependencies, slot, dimension, [&](int32_t group) {
      if (!names[group].empty()) return;
      const std::string base = modulePathOf(program.slots[slot].name);
      const int count = taken[base]++;
      names[group] = count == 0 ? base : base + "#" + std::to_string(count + 1);
    });
  };
  const auto nameBy = [&](Slot::Kind kind, bool inLists, bool inFront) {
    const auto visit = [&](SlotId slot) {
      if (program.slots[slot].kind != kind) return;
      const auto rank = static_cast<int64_t>(program.slots[slot].sizes.size());
      for (int64_t d = inFront ? 0 : 1; d < (inFront ? std::min<int64_t>(rank, 1) : rank); ++d) {
        nameAlong(slot, d);
      }
    };
    for (const auto& instruction : program.instructions) {
      for (const auto& argument : instruction.arguments) {
        if (argument.isSlot() != inLists) forEachSlot(argument, visit);
      }
    }
  };
  for (const auto kind : {Slot::Kind::kParameter, Slot::Kind::kBuffer}) {
    for (const bool inLists : {false, true}) {
      for (const bool inFront : {true, false}) nameBy(kind, inLists, inFront);
    }
  }
  return names;
}

// By group: what makes its channels first, a convolution or a matrix product (or no operator: an embedding).
std::vector<HyperparameterKind> groupKinds(const Dependencies& dependencies) {
  const Program& program = dependencies.program();
  std::vector<HyperparameterKind> kinds(dependencies.groupCount(), HyperparameterKind::kHiddenWidth);
  std::vector<bool> known(kinds.size());
  const auto setAlong = [&](SlotId slot, HyperparameterKind kind) {
    for (size_t d = 0; d < program.slots[slot].sizes.size(); ++d) {
      forEachGroup(dependencies, slot, static_cast<int64_t>(d), [&](int32_t group) {
        if (!known[group]) kinds[group] = kind;
        known[group] = true;
      });
    }
  };
  for (const auto& instruction : program.instructions) {
    const bool convolution = isConvolution(instruction.schema->name());
    if (!convolution && !traitsOf(instruction.schema->name()).isMatrixProduct) continue;
    for (const auto& result : instruction.results) {
      if (!result.isSlot()) continue;
      setAlong(result.slot,
               convolution ? HyperparameterKind::kOutChannels : HyperparameterKind::kHiddenWidth);
    }
  }
  for (size_t g = 0; g < kinds.size(); ++g) {
    if (dependencies.isHeads(static_cast<int32_t>(g))) kinds[g] = HyperparameterKind::kNumHeads;
  }
  return kinds;
}

// How many channels a head is wide: the fewest of its indices along any parameter, since one that makes
// queries, keys and values has three times as many.
int64_t headWidth(const Dependencies& dependencies, int32_t group) {
  const Program& program = dependencies.program();
  int64_t fewest = 0;
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (program.slots[i].kind != Slot::Kind::kParameter) continue;
    for (size_t d = 0; d < program.slots[i].sizes.size(); ++d) {
      int64_t count = 0;
      forEachGroup(dependencies, static_cast<SlotId>(i), static_cast<int64_t>(d),
                   [&](int32_t other) { count += other == group ? 1 : 0; });
      if (count > 0) fewest = fewest == 0 ? count : std::min(fewest, count);
    }
  }
  return std::max<int64_t>(1, fewest / dependencies.groupSize(group));
}

// How many classes apart widths are. The divisor counts channels, of which a class may be several: their
// number is a multiple of it, or where so few groups have no such number, at least as large.
int64_t stepOf(int64_t channelsPerClass, int64_t full, int64_t channelDivisor) {
  const int64_t exact = channelDivisor / std::gcd(channelDivisor, channelsPerClass);
  return exact < full ? exact : (channelDivisor + channelsPerClass - 1) / channelsPerClass;
}

void appendDepths(const ResidualBlocks& blocks, std::vector<Hyperparameter>& all) {
  for (size_t b = 0; b < blocks.blocks.size(); ++b) {
    Hyperparameter depth;
    depth.name = blocks.blocks[b].name + ".depth";
    const auto taken = [&](const Hyperparameter& other) { return other.name == depth.name; };
    while (std::any_of(all.begin(), all.end(), taken)) depth.name += "#2";
    depth.kind = HyperparameterKind::kDepth;
    depth.choices = {0, 1};
    depth.full = 1;
    depth.block = static_cast<int32_t>(b);
    all.push_back(std::move(depth));
  }
}

void setBegins(const Dependencies& dependencies, const ResidualBlocks& blocks,
               std::vector<Hyperparameter>& all) {
  const PrefixAnalysis analysis(dependencies, blocks);
  ProgramSubnet full;
  full.widths = fullWidths(dependencies);
  full.kept.assign(blocks.blocks.size(), true);
  for (auto& hyperparameter : all) {
    ProgramSubnet smallest = full;
    if (hyperparameter.block >= 0) {
      smallest.kept[hyperparameter.block] = false;
    } else {
      smallest.widths[hyperparameter.group] = hyperparameter.choices.front();
    }
    hyperparameter.begins = analysis.firstDifference(full, smallest);
  }
}

}  // namespace

// Choices are the multiples of the first one, as a rule: a look at the right place spares the search.
bool Hyperparameter::offers(int64_t value) const {
  if (value == full) return true;
  const int64_t place = choices.front() > 0 ? value / choices.front() - 1 : -1;
  if (place >= 0 && place < static_cast<int64_t>(choices.size()) && choices[place] == value) return true;
  return std::binary_search(choices.begin(), choices.end(), value);
}

std::vector<Hyperparameter> findWidths(const Dependencies& dependencies, int64_t channelDivisor) {
  if (channelDivisor < 1) {
    throw Error("ERR_CONFIG_VALUE", "channelDivisor must be a whole number of at least 1.");
  }
  const auto names = groupNames(dependencies);
  const auto kinds = groupKinds(dependencies);
  std::vector<Hyperparameter> widths;
  for (size_t g = 0; g < names.size(); ++g) {
    const auto group = static_cast<int32_t>(g);
    if (dependencies.groupSize(group) < 2) continue;
    Hyperparameter width;
    width.name = names[g];
    width.kind = kinds[g];
    width.group = group;
    width.full = dependencies.groupSize(group);
    width.channels = dependencies.channelsPerClass(group);
    const bool isHeads = width.kind == HyperparameterKind::kNumHeads;
    const int64_t step = isHeads ? 1 : stepOf(width.channels, width.full, channelDivisor);
    if (isHeads) width.channels = headWidth(dependencies, group);
    for (int64_t value = step; value < width.full; value += step) width.choices.push_back(value);
    width.choices.push_back(width.full);
    widths.push_back(std::move(width));
  }
  return widths;
}

std::vector<Hyperparameter> findHyperparameters(const Dependencies& dependencies,
                                                const ResidualBlocks& blocks, int64_t channelDivisor) {
  auto all = findWidths(dependencies, channelDivisor);
  appendDepths(blocks, all);
  setBegins(dependencies, blocks, all);
  return all;
}

std::vector<Unprunable> findUnprunable(const Dependencies& dependencies) {
  const Program& program = dependencies.program();
  std::vector<Unprunable> unprunable;
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (program.slots[i].kind != Slot::Kind::kParameter) continue;
    // Kernel sizes are no channels.
    for (size_t d = 0; d < std::min<size_t>(program.slots[i].sizes.size(), 2); ++d) {
      for (const Atom atom : dependencies.labels(static_cast<SlotId>(i), static_cast<int64_t>(d))) {
        if (dependencies.placeOf(atom).group != kNoGroup) continue;
        unprunable.push_back({program.slots[i].name, static_cast<int32_t>(d), dependencies.reasonOf(atom)});
        break;
      }
    }
  }
  return unprunable;
}

}  // namespace torchsearch

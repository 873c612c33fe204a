#include "core/space/structures.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "core/importance/channel_votes.h"

namespace torchsearch {

namespace {

// The kind of a parameter among the kinds of layers: its name within the module, its rank, and the dimension.
std::string partOf(const Slot& slot, int64_t dimension) {
  const auto dot = slot.name.rfind('.');
  const std::string leaf = dot == std::string::npos ? slot.name : slot.name.substr(dot + 1);
  return leaf + "[" + std::to_string(slot.sizes.size()) + "d:" + std::to_string(dimension) + "]";
}

}  // namespace

std::vector<std::string> structuresOf(const Dependencies& dependencies) {
  const Program& program = dependencies.program();
  std::vector<std::vector<std::string>> parts(dependencies.groupCount());
  for (size_t i = 0; i < program.slots.size(); ++i) {
    const Slot& slot = program.slots[i];
    if (slot.kind != Slot::Kind::kParameter || !at::isFloatingType(slot.dtype)) continue;
    const auto id = static_cast<SlotId>(i);
    for (const int64_t dimension : channelDimensions(dependencies, id)) {
      std::set<int32_t> groups;
      for (const Atom atom : dependencies.labels(id, dimension)) {
        const int32_t group = dependencies.placeOf(atom).group;
        if (group != kNoGroup) groups.insert(group);
      }
      for (const int32_t group : groups) parts[group].push_back(partOf(slot, dimension));
    }
  }
  std::vector<std::string> structures;
  for (auto& list : parts) {
    std::sort(list.begin(), list.end());
    std::string text;
    for (const auto& part : list) text += (text.empty() ? "" : " ") + part;
    structures.push_back(text);
  }
  return structures;
}

}  // namespace torchsearch

#include "core/archive/pickle_height.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace torchsearch {
namespace {

// Deeper than any model nests its modules, and shallow enough for a destructor that calls itself.
constexpr uint32_t kMaxHeight = 1000;

// Values that a walk through one meets may be so many times those that there are; and these are always few.
constexpr uint64_t kMaxRepeats = 16;
constexpr uint64_t kFewSteps = uint64_t{1} << 20;

bool isContainer(const PickledValue& value) {
  return value.kind == PickledKind::kTuple || value.kind == PickledKind::kList ||
         value.kind == PickledKind::kDict;
}

enum class Mark : uint8_t { kNew, kOpen, kDone };

// Of every value that was made, also of those that were dropped: LibTorch destroys them, too.
class Heights {
 public:
  explicit Heights(const std::vector<PickledValue>& values)
      : values_(values),
        mostSteps_(std::max(kFewSteps, kMaxRepeats * values.size())),
        marks_(values.size(), Mark::kNew),
        heights_(values.size(), 0),
        steps_(values.size(), 1) {}

  const char* fault() {
    for (uint32_t root = 0; root < values_.size(); ++root) {
      if (marks_[root] != Mark::kNew) continue;
      if (const char* found = walk(root)) return found;
    }
    return nullptr;
  }

 private:
  const char* walk(uint32_t root) {
    std::vector<std::pair<uint32_t, size_t>> path;
    const auto open = [&](uint32_t id) {
      marks_[id] = Mark::kOpen;
      path.emplace_back(id, 0);
    };
    open(root);
    while (!path.empty()) {
      auto& [id, next] = path.back();
      const std::vector<uint32_t>& items = values_[id].items;
      if (next < items.size()) {
        const uint32_t child = items[next++];
        if (marks_[child] == Mark::kOpen) return "a value contains itself";
        if (marks_[child] == Mark::kNew) open(child);
        continue;
      }
      if (const char* found = close(id)) return found;
      path.pop_back();
    }
    return nullptr;
  }

  const char* close(uint32_t id) {
    uint32_t height = 0;
    uint64_t steps = 1;
    for (const uint32_t child : values_[id].items) {
      height = std::max(height, heights_[child] + 1);
      // Objects are met once: LibTorch goes by their class.
      steps += isContainer(values_[child]) ? steps_[child] : 1;
      if (steps > mostSteps_) return "its values repeat each other without end";
    }
    if (height > kMaxHeight) return "its values are nested too deeply";
    heights_[id] = height;
    steps_[id] = steps;
    marks_[id] = Mark::kDone;
    return nullptr;
  }

  const std::vector<PickledValue>& values_;
  const uint64_t mostSteps_;
  std::vector<Mark> marks_;
  std::vector<uint32_t> heights_;
  std::vector<uint64_t> steps_;
};

}  // namespace

const char* nestingFault(const PickledTree& tree) {
  return Heights(tree.values).fault();
}

}  // namespace torchsearch

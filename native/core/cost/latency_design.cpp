#include "core/cost/latency_design.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>

namespace torchsearch {

namespace {

constexpr int64_t kAny = -1;

class Design {
 public:
  Design(const std::vector<OperatorShape>& shapes, const std::vector<WidthLevels>& levels,
         const std::vector<int64_t>& full, const LatencyTable& known)
      : full_(full), known_(known), levelsOf_(full.size()) {
    for (const auto& level : levels) {
      levelsOf_[level.group] = level.widths;
      count_ = std::max(count_, level.widths.size());
    }
    for (const auto& shape : shapes) require(shape);
  }

  std::vector<std::vector<int64_t>> subnets() {
    std::vector<std::vector<int64_t>> subnets;
    while (!wanted_.empty()) {
      std::vector<int64_t> row(full_.size(), kAny);
      std::erase_if(wanted_, [&](const std::vector<std::pair<int32_t, int64_t>>& point) {
        const bool fits = std::all_of(point.begin(), point.end(), [&](const auto& choice) {
          return row[choice.first] == kAny || row[choice.first] == choice.second;
        });
        if (!fits) return false;
        for (const auto& [group, width] : point) row[group] = width;
        return true;
      });
      for (size_t group = 0; group < row.size(); ++group) {
        if (row[group] == kAny) row[group] = widthAt(static_cast<int32_t>(group), subnets.size() % count_);
      }
      subnets.push_back(std::move(row));
    }
    return subnets;
  }

 private:
  using Point = std::vector<std::pair<int32_t, int64_t>>;

  // The last level is the full width for every group, the first the smallest, however many a group has.
  int64_t widthAt(int32_t group, size_t level) const {
    const auto& widths = levelsOf_[group];
    if (widths.empty()) return full_[group];
    const double share = count_ > 1 ? static_cast<double>(level) / static_cast<double>(count_ - 1) : 1;
    return widths[static_cast<size_t>(std::lround(share * static_cast<double>(widths.size() - 1)))];
  }

  void require(const OperatorShape& shape) {
    if (shape.variables.size() == 2) {
      for (size_t x = 0; x < count_; ++x) {
        for (size_t y = 0; y < count_; ++y) require(shape, {x, y});
      }
    } else {
      for (size_t level = 0; level < count_; ++level) {
        require(shape, std::vector<size_t>(shape.variables.size(), level));
      }
    }
  }

  void require(const OperatorShape& shape, const std::vector<size_t>& levels) {
    Point point;
    std::vector<int64_t> row = full_;
    for (size_t v = 0; v < levels.size(); ++v) {
      for (const auto& [group, count] : shape.variables[v].factors) {
        const int64_t width = widthAt(group, levels[v]);
        const auto same = std::find_if(point.begin(), point.end(),
                                       [group = group](const auto& choice) { return choice.first == group; });
        if (same != point.end() && same->second != width) return;  // no subnet has both
        if (same == point.end()) point.emplace_back(group, width);
        row[group] = width;
      }
    }
    const auto sizes = shape.sizesAt(row);
    if (known_.has(shape.key, sizes) || !seen_.emplace(shape.key, sizes).second) return;
    wanted_.push_back(std::move(point));
  }

  const std::vector<int64_t>& full_;
  const LatencyTable& known_;
  std::vector<std::vector<int64_t>> levelsOf_;
  size_t count_ = 1;
  std::vector<Point> wanted_;
  std::set<std::pair<std::string, LatencyTable::Sizes>> seen_;
};

}  // namespace

WidthLevels widthLevels(int32_t group, const std::vector<int64_t>& choices, int32_t points) {
  WidthLevels levels;
  levels.group = group;
  const size_t last = choices.size() - 1;
  const size_t count = std::min<size_t>(std::max(points, 2), choices.size());
  for (size_t i = 0; i < count; ++i) {
    const double share = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 1;
    levels.widths.push_back(choices[static_cast<size_t>(std::lround(share * static_cast<double>(last)))]);
  }
  return levels;
}

std::vector<std::vector<int64_t>> subnetsToMeasure(const std::vector<OperatorShape>& shapes,
                                                   const std::vector<WidthLevels>& levels,
                                                   const std::vector<int64_t>& full,
                                                   const LatencyTable& known) {
  return Design(shapes, levels, full, known).subnets();
}

}  // namespace torchsearch

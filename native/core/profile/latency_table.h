#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace torchsearch {

// Milliseconds of operators. A key names an operator, its arguments and their shapes, with letters for sizes
// that vary; a point gives those sizes, in the order of the letters.
class LatencyTable {
 public:
  using Sizes = std::vector<int64_t>;
  using Points = std::map<Sizes, double>;

  void add(const std::string& key, Sizes sizes, double ms) { points_[key].emplace(std::move(sizes), ms); }
  bool has(const std::string& key, const Sizes& sizes) const { return pointsOf(key).count(sizes) > 0; }
  // Empty for an unknown key.
  const Points& pointsOf(const std::string& key) const {
    static const Points kNone;
    const auto found = points_.find(key);
    return found == points_.end() ? kNone : found->second;
  }
  const std::map<std::string, Points>& all() const { return points_; }

 private:
  std::map<std::string, Points> points_;
};

}  // namespace torchsearch

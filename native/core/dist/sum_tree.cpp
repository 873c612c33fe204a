#include "core/dist/sum_tree.h"

#include <algorithm>

namespace torchsearch {

namespace {

void addNodes(const ShardRange& node, const ShardRange& range, std::vector<ShardRange>& found) {
  if (node.size() == 0 || node.end <= range.first || range.end <= node.first) return;
  if (range.holds(node)) {
    found.push_back(node);
    return;
  }
  addNodes(node.left(), range, found);
  addNodes(node.right(), range, found);
}

}  // namespace

ShardRange shardsOf(int64_t rank, int64_t ranks, int64_t shards) {
  const int64_t each = shards / ranks;
  const int64_t longer = shards % ranks;  // the first so many ranks have one more
  const int64_t first = rank * each + std::min(rank, longer);
  return {first, first + each + (rank < longer ? 1 : 0)};
}

std::vector<ShardRange> nodesWithin(const ShardRange& range, int64_t shards) {
  std::vector<ShardRange> found;
  if (range.size() > 0) addNodes({0, shards}, range, found);
  return found;
}

}  // namespace torchsearch

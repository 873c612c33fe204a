#pragma once

#include <cstdint>
#include <vector>

namespace torchsearch {

// Neighbouring shards, or a node of the tree by which the parts of all shards are added: a node of several
// shards is the sum of its halves, the left one first. The tree depends on the number of shards alone, and so
// do the roundings of the sum, however many ranks there are.
struct ShardRange {
  int64_t first = 0;
  int64_t end = 0;

  int64_t size() const { return end - first; }
  bool holds(const ShardRange& other) const { return first <= other.first && other.end <= end; }
  // Of a node with several shards.
  ShardRange left() const { return {first, first + (size() + 1) / 2}; }
  ShardRange right() const { return {first + (size() + 1) / 2, end}; }
};

// The shards of a rank. Ranks have neighbouring shards, in order, and numbers of them that differ by at most
// one; where there are more ranks than shards, some have none.
ShardRange shardsOf(int64_t rank, int64_t ranks, int64_t shards);

// The largest nodes of the tree over `shards` that lie in `range`, from left to right.
std::vector<ShardRange> nodesWithin(const ShardRange& range, int64_t shards);

}  // namespace torchsearch

#include "core/dist/sum_tree.h"

#include <vector>

#include "tests/support/doctest.h"

using namespace torchsearch;

TEST_CASE("the shards of all ranks are all shards, in order") {
  for (int64_t shards = 1; shards <= 17; ++shards) {
    for (int64_t ranks = 1; ranks <= 20; ++ranks) {
      int64_t next = 0;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const ShardRange own = shardsOf(rank, ranks, shards);
        CHECK(own.first == next);
        CHECK(own.size() <= (shards + ranks - 1) / ranks);
        CHECK(own.size() >= shards / ranks);
        next = own.end;
      }
      CHECK(next == shards);
    }
  }
}

TEST_CASE("the nodes of a range are nodes of the tree, as large as can be, and cover it") {
  const auto isNode = [](const ShardRange& range, int64_t shards) {
    ShardRange node{0, shards};
    while (node.first != range.first || node.end != range.end) {
      if (!node.holds(range) || node.size() == 1) return false;
      node = node.left().holds(range) ? node.left() : node.right();
    }
    return true;
  };
  for (int64_t shards = 1; shards <= 17; ++shards) {
    for (int64_t first = 0; first < shards; ++first) {
      for (int64_t end = first + 1; end <= shards; ++end) {
        int64_t next = first;
        const std::vector<ShardRange> nodes = nodesWithin({first, end}, shards);
        for (size_t i = 0; i < nodes.size(); ++i) {
          CHECK(nodes[i].first == next);
          CHECK(isNode(nodes[i], shards));
          if (i > 0) CHECK_FALSE(isNode({nodes[i - 1].first, nodes[i].end}, shards));
          next = nodes[i].end;
        }
        CHECK(next == end);
      }
    }
  }
  CHECK(nodesWithin({3, 3}, 8).empty());
}

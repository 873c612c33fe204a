#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "core/graph/liveness.h"
#include "core/graph/program.h"

namespace torchsearch {

// A part of the model that only adds to what it is given: y = x + f(x). Leaving it out means y = x.
struct ResidualBlock {
  // What y is without the block: x itself; or a copy of it, where y or x is written in place later on or
  // where y's layout was another than x's.
  enum class Substitute : uint8_t { kSame, kCopy, kContiguousCopy, kChannelsLastCopy };

  std::string name;           // its module's path: "layer1.1", or "blocks.3.mlp" where a module has several
  ResidualAddition addition;  // sum = y, kept = x, branch = f(x)
  int32_t keptArgument = 0;   // which argument of the addition x is
  Substitute substitute = Substitute::kSame;
};

struct ResidualBlocks {
  std::vector<ResidualBlock> blocks;  // in the order of their additions
  Liveness liveness;                  // what runs and what is stored, by the blocks that are kept
};

// The residual blocks that can be left out: x, f(x) and y have one shape and dtype; the layers between x and
// f(x) serve this addition only; and at least one convolution or matrix product lies there. In "x + f(x) +
// g(x)" there are two.
// Those that end in an addition of `givenUp` (instructions) stay.
ResidualBlocks findResidualBlocks(const Program& program, const std::set<int32_t>& givenUp = {});

// Counts what can't be taken out of the graph as what always runs and always stays.
void keepLeftovers(const Program& program, ResidualBlocks& blocks, const Leftovers& leftovers);

// The program without the blocks whose `kept` is false: the same instructions and slots, those that are not
// needed any more marked as left out.
Program withoutBlocks(const Program& program, const ResidualBlocks& blocks, const std::vector<bool>& kept);

}  // namespace torchsearch

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace torchsearch {

enum class HyperparameterKind : uint8_t {
  kOutChannels,  // of a convolution
  kHiddenWidth,  // features of a linear layer
  kNumHeads,     // of an attention
  kDepth,        // whether a residual block is there
};

// What can be chosen: a width, of channels that must be kept or dropped together over every parameter they
// touch; or whether a residual block is there.
struct Hyperparameter {
  // A width: path of the first module whose output it is, "layer1.0.conv1". A block: its name and ".depth".
  std::string name;
  HyperparameterKind kind = HyperparameterKind::kHiddenWidth;
  std::vector<int64_t> choices;  // ascending; the last one is the full model's. Of a block: 0, 1
  int64_t full = 0;
  int64_t channels = 1;  // that one of a width stands for, such as a head's
  int32_t group = -1;    // of a width, in Dependencies::groups
  int32_t block = -1;    // of a depth, in ResidualBlocks::blocks
  int32_t begins = 0;    // the first instruction on the dummy input that it changes

  bool offers(int64_t value) const;
};

// A line for each dimension that stays whole, and the operator that is why; and for each residual block that
// can't be left out although it looked so.
struct Unprunable {
  std::string parameter;  // or the block
  int32_t dimension = 0;  // -1 of a block
  std::string reason;
};

}  // namespace torchsearch

#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// An elementwise function at the end of a chain.
struct PostActivation {
  enum class Kind : uint8_t {
    kNone,
    kRelu,
    kClamp,      // hardtanh, relu6: to [low, high]
    kLeakyRelu,  // slope `low`
    kHardswish,
    kHardsigmoid,
    kSilu,
    kSigmoid,
    kTanh,
    kGelu,
    kGeluTanh,
  };
  Kind kind = Kind::kNone;
  double low = 0;
  double high = 0;
};

// A convolution or linear layer and what follows it and can be computed with it: a batch norm in evaluation
// mode, the addition of a tensor that exists by then, an activation. It runs in place of its first
// instruction, the anchor; the absorbed ones do nothing then.
struct FusedChain {
  enum class Kind : uint8_t { kConvolution, kLinear };
  struct BatchNorm {
    SlotId weight = kNoSlot;
    SlotId bias = kNoSlot;
    SlotId mean = kNoSlot;
    SlotId variance = kNoSlot;
    double epsilon = 0;
  };

  Kind kind = Kind::kConvolution;
  int32_t anchor = -1;
  std::vector<int32_t> absorbed;  // ascending
  SlotId input = kNoSlot;
  SlotId weight = kNoSlot;
  SlotId bias = kNoSlot;
  SlotId product = kNoSlot;  // the anchor's own result
  SlotId result = kNoSlot;   // the chain's
  bool normalized = false;
  BatchNorm norm;
  SlotId other = kNoSlot;  // added
  PostActivation activation;

  std::vector<int64_t> stride;  // of a convolution, as are those below
  std::vector<int64_t> padding;
  std::vector<int64_t> dilation;
  int64_t groups = 1;
  int32_t groupsArgument = -1;

  int32_t last() const { return absorbed.empty() ? anchor : absorbed.back(); }
};

}  // namespace torchsearch

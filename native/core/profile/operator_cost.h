#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// Dimension `dimension` of the tensor in `slot`.
struct DimensionReference {
  SlotId slot = kNoSlot;
  int32_t dimension = 0;
};

// coefficient x the product of the dimensions: a part of an operator's multiply-adds. Which dimensions take
// part is decided by the recorded shapes; their values may be those recorded or a subnet's.
struct CostTerm {
  int64_t coefficient = 1;
  std::vector<DimensionReference> factors;
};

// The multiply-adds of one instruction, as PyTorch's FlopCounterMode counts them (its FLOPs are twice these):
// convolutions, matrix products and what is made of them; empty for every other operator. docs/profiling.md
// lists the rules and where they differ from other counters.
std::vector<CostTerm> multiplyAddTerms(const Program& program, const Instruction& instruction);

// A chain of products is multiplied in the order that costs least, which differs between widths: the terms of
// each order. Every other operator has one. `multiplyAddTerms` is the cheapest at the recorded sizes.
std::vector<std::vector<CostTerm>> multiplyAddOrders(const Program& program, const Instruction& instruction);

// The terms' sum at the recorded shapes.
int64_t evaluateTerms(const std::vector<CostTerm>& terms, const Program& program);

}  // namespace torchsearch

#pragma once

#include <cstdint>
#include <vector>

#include "core/cost/operator_shape.h"
#include "core/profile/latency_table.h"

namespace torchsearch {

// The widths to measure a group's channels at, ascending: evenly spread over its choices, with both ends.
struct WidthLevels {
  int32_t group = 0;
  std::vector<int64_t> widths;
};

// At most `points` of the choices.
WidthLevels widthLevels(int32_t group, const std::vector<int64_t>& choices, int32_t points);

// Few subnets (widths by group) whose forwards, timed operator by operator, give every point that a
// LatencyModel interpolates between and `known` lacks: each level of an operator's varying size, each pair of
// levels of two. A greedy covering array, after the idea of AETG (Cohen et al., 1997). `full`: widths by
// group of the full model.
std::vector<std::vector<int64_t>> subnetsToMeasure(const std::vector<OperatorShape>& shapes,
                                                   const std::vector<WidthLevels>& levels,
                                                   const std::vector<int64_t>& full,
                                                   const LatencyTable& known);

}  // namespace torchsearch

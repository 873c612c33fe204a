#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// A convolution or matrix product of an activation with a weight: what a format is chosen for.
struct QuantLayer {
  std::string name;            // module path of its weight, "layer1.0.conv1"
  std::string op;              // "aten::conv2d"
  int32_t node = -1;           // in Program::graph; the layer is wherever it runs
  int32_t first = -1;          // the first instruction of it
  int32_t inputArgument = -1;  // positions in the operator's schema
  int32_t weightArgument = -1;
  SlotId input = kNoSlot;  // what the first instruction reads
  SlotId weight = kNoSlot;
  int64_t axis = 0;  // dimension of the weight that its output channels are
  std::vector<int64_t> weightSizes;
  at::ScalarType dtype = at::kFloat;  // of the weight
  // Layers of one group must get one format: they share a parameter, or read the same activation.
  int32_t group = -1;
};

// The layers that run, in the order of execution. A weight is whatever is computed from parameters alone, and
// so may be a transposed one or a part of one. Where `groupSharedInputs` is false, layers that read the same
// activation are not tied to each other.
std::vector<QuantLayer> findQuantizableLayers(const Program& program, bool groupSharedInputs);

}  // namespace torchsearch

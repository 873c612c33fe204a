#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// The numbers of a vector of indices that is the same for all inputs: a constant, or made of a list of
// constants. Nothing for any other tensor.
std::optional<std::vector<int64_t>> constantIndices(const Program& program, SlotId slot);

}  // namespace torchsearch

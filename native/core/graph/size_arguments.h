#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/argument_override.h"
#include "core/graph/dependency.h"

namespace torchsearch {

// The arguments that follow a dimension's size (a view's shape, a convolution's groups, a layer norm's
// normalized shape) and differ in a subnet with these widths (by group). Ascending by instruction;
// speculative ones included.
std::vector<ArgumentOverride> sizeArguments(const Dependencies& dependencies,
                                            const std::vector<int64_t>& widths);

}  // namespace torchsearch

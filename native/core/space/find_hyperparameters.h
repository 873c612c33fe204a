#pragma once

#include <cstdint>
#include <vector>

#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"
#include "core/space/hyperparameter.h"

namespace torchsearch {

// The widths of a model, by group, and then its residual blocks. Widths are multiples of `channelDivisor`,
// where the full width allows. ERR_CONFIG_VALUE
std::vector<Hyperparameter> findHyperparameters(const Dependencies& dependencies,
                                                const ResidualBlocks& blocks, int64_t channelDivisor);

// The widths alone, without what they change first. ERR_CONFIG_VALUE
std::vector<Hyperparameter> findWidths(const Dependencies& dependencies, int64_t channelDivisor);

// The channels of parameters that can't be chosen.
std::vector<Unprunable> findUnprunable(const Dependencies& dependencies);

}  // namespace torchsearch

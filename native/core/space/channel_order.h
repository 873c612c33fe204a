#pragma once

#include <string>

#include "core/graph/dependency.h"

namespace torchsearch {

// Reorders the module's parameters and buffers in place so that within each group the most important channels
// come first. `importance`: "l1" or "l2", the norm of a channel's weights, each parameter's norms divided by
// their mean and summed over all the parameters that the channel runs through (grouped magnitude; Fang et
// al., "DepGraph: Towards Any Structural Pruning", CVPR 2023). ERR_CONFIG_VALUE for another name.
void orderChannels(const Dependencies& dependencies, const torch::jit::Module& module,
                   const std::string& importance);

}  // namespace torchsearch

#pragma once

#include <string>
#include <vector>

#include "core/graph/dependency.h"

namespace torchsearch {

// What a group's channels run through, by group: a part for each dimension of a parameter that holds some of
// them, in alphabetical order. Groups whose layers are of the same kinds, tied in the same way, have the same
// description, which is what isomorphic pruning compares channels within (Fang et al., "Isomorphic Pruning
// for Vision Models", ECCV 2024). Sizes, also those of kernels, are no part of it.
std::vector<std::string> structuresOf(const Dependencies& dependencies);

}  // namespace torchsearch

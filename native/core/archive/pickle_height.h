#pragma once

#include "core/archive/pickled_value.h"

namespace torchsearch {

// What is wrong with how the values of a pickle contain each other, or null: one contains itself; they are
// nested so deeply that a function that calls itself would overflow the stack; or the same ones are repeated
// within each other so often that walking them would not end. LibTorch does both without looking.
const char* nestingFault(const PickledTree& tree);

}  // namespace torchsearch

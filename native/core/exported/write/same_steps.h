#pragma once

#include "core/graph/program.h"

namespace torchsearch::exported {

// Whether two recordings of one graph took the same path: the same instructions, slots and nestings. Numbers
// may differ.
bool sameSteps(const Program& a, const Program& b);

}  // namespace torchsearch::exported

#pragma once

#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// By instruction: whether nothing reads the values of what it gives. Their sizes may still be asked for, as
// in `h[:, :, -1].shape`.
std::vector<bool> unreadInstructions(const Program& program);

}  // namespace torchsearch

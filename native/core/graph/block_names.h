#pragma once

#include <vector>

#include "core/graph/residual_blocks.h"

namespace torchsearch {

// Names each block by the path of the module whose code holds its addition; where that holds several, by the
// submodule that has most of the parameters which go with the block. A name that occurs again gets "#2",
// "#3".
void nameBlocks(const Program& program, std::vector<ResidualBlock>& blocks, const Liveness& liveness);

}  // namespace torchsearch

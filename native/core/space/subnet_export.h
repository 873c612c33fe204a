#pragma once

#include <torch/script.h>

#include <functional>
#include <vector>

#include "core/forward/executor.h"
#include "core/graph/program.h"

namespace torchsearch {

// A copy of `module` whose parameters and buffers are `tensors` (by the program's slots; copied, so that
// nothing is shared) and whose forward, inlined, uses `sizes` at every call site. Its submodules keep their
// attributes, so names in a state dict stay, but no methods of their own. ERR_EXPORT_CONFLICT where one call
// site would need two sizes.
torch::jit::Module exportSubnetModule(const torch::jit::Module& module, const Program& program,
                                      const std::vector<at::Tensor>& tensors,
                                      const std::vector<ArgumentOverride>& sizes);

}  // namespace torchsearch

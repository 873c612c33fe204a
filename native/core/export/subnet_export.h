#pragma once

#include <torch/script.h>

#include <vector>

#include "core/base/cancel.h"
#include "core/call/forwardable.h"
#include "core/graph/argument_override.h"
#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"

namespace torchsearch {

// A copy of `module` whose parameters and buffers are `tensors` (by the program's slots; copied, so that
// nothing is shared) and whose forward, inlined, computes what the recorded program computes with the
// arguments `overrides`. It is led once along the recorded path on `dummyInput`, which the program was
// recorded with; what it would do otherwise becomes a constant, and everything else is computed as before, so
// that other batch sizes still work. Its submodules keep their attributes, so names in a state dict stay, but
// no methods of their own. Of `blocks`, the program's, it has those that `kept` says. ERR_EXPORT,
// ERR_EXPORT_CONFLICT where one call site would need two sizes.
torch::jit::Module exportSubnetModule(const torch::jit::Module& module, const Dependencies& dependencies,
                                      const std::vector<at::Tensor>& tensors,
                                      const std::vector<ArgumentOverride>& overrides,
                                      const ResidualBlocks& blocks, const std::vector<bool>& kept,
                                      const Inputs& dummyInput, const CancelToken& cancel);

}  // namespace torchsearch

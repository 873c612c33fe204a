#pragma once

#include <torch/script.h>

#include <string>
#include <vector>

#include "core/graph/extra_methods.h"
#include "core/graph/program.h"

namespace torchsearch {

// The path of a parameter or buffer that the method uses and that `changed`, by slot, says is not what it
// was; "its calls" where what it uses isn't known. Empty where it uses none. `module` has the program's
// tensors.
std::string methodUses(const ExtraMethod& method, const torch::jit::Module& module, const Program& program,
                       const std::vector<bool>& changed);

}  // namespace torchsearch

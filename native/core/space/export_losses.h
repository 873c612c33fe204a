#pragma once

#include <string>
#include <vector>

#include "core/space/converted_model.h"

namespace torchsearch {

// A sentence for each thing that the model does, beside forward in evaluation mode, and that exported subnets
// may not: methods marked for export that use narrowed tensors, those of submodules, and what only training
// does.
std::vector<std::string> exportLosses(const ConvertedModel& model);

}  // namespace torchsearch

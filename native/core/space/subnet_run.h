#pragma once

#include <vector>

#include "core/base/cancel.h"
#include "core/forward/executor.h"
#include "core/space/converted_model.h"

namespace torchsearch {

// Runs a subnet of a converted model once on its dummy input, as it was recorded and without the blocks whose
// `kept` is false, and lets `observer` see it. Leaves no trace in the module. ERR_FORWARD, ERR_ABORTED
void runSubnet(const ConvertedModel& model, const std::vector<int64_t>& widths, const std::vector<bool>& kept,
               ExecutionObserver& observer, const CancelToken& cancel);

}  // namespace torchsearch

#pragma once

#include <cstdint>
#include <vector>

#include "core/base/cancel.h"
#include "core/space/converted_model.h"
#include "core/space/hyperparameter.h"

namespace torchsearch {

// Runs subnets of a newly converted model on its dummy input: the smallest, a mixed one, and without each
// residual block. Widths and blocks with which an operator fails, or gives another shape than the analysis
// says, are taken out of the model's dependencies and blocks. The full model has just run, as it was
// recorded. Gives a line for each block taken out. Leaves no trace in the module. ERR_ABORTED
std::vector<Unprunable> giveUpWhatFails(ConvertedModel& model, int64_t channelDivisor,
                                        const CancelToken& cancel);

}  // namespace torchsearch

#pragma once

#include <vector>

#include "core/base/cancel.h"
#include "core/cost/memory_model.h"
#include "core/space/converted_model.h"

namespace torchsearch {

// The results that are copies in the full model, and views where widths are one: a dimension of one may be
// merged with any other, so `reshape` has nothing to copy then. `smallest`: the smallest width of each group.
// Runs a few subnets once where a dimension can become one that isn't in the full model, and none otherwise.
// ERR_ABORTED
std::vector<NarrowView> findNarrowViews(const ConvertedModel& model, const std::vector<int64_t>& smallest,
                                        const CancelToken& cancel);

}  // namespace torchsearch

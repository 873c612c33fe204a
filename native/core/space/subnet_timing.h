#pragma once

#include <cstdint>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/progress.h"
#include "core/cost/operator_shape.h"
#include "core/profile/latency.h"
#include "core/profile/latency_table.h"
#include "core/space/converted_model.h"
#include "core/space/hyperparameter.h"
#include "core/space/subnet.h"

namespace torchsearch {

// Both time subnets on the dummy input, with weights of their own as exported ones have. The caller holds the
// module's lock.

// The latency of the operators `shapes` at up to `points` widths of each hyperparameter that `known` lacks.
LatencyTable measureOperators(const ConvertedModel& model, const std::vector<Hyperparameter>& hyperparameters,
                              const std::vector<OperatorShape>& shapes, const LatencyTable& known,
                              int32_t points, const LatencyOptions& options, const CancelToken& cancel,
                              const ProgressFn& progress);

// Milliseconds of whole forwards.
std::vector<double> timeForwards(const ConvertedModel& model, const std::vector<Subnet>& subnets,
                                 const LatencyOptions& options, const CancelToken& cancel,
                                 const ProgressFn& progress);

}  // namespace torchsearch

#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/progress.h"
#include "core/cost/operator_shape.h"
#include "core/forward/executor.h"
#include "core/profile/latency.h"
#include "core/profile/latency_table.h"

namespace torchsearch {

// How subnets are timed. Their timed forwards come in three rounds over all of them, so that a disturbance of
// the machine that lasts a while hits a part of each rather than all of one; of all times the lower quartile
// counts. One thread of the CPU is timed by its processor time, which other programs stretch far less than
// the wall clock's.
class SubnetTimer {
 public:
  // A subnet's weights as its export would have them, by widths of the groups.
  using Bind = std::function<Bindings(const std::vector<int64_t>&)>;

  SubnetTimer(Executor& executor, std::vector<at::Tensor> inputs, c10::Device device, Bind bind,
              const LatencyOptions& options);

  // Milliseconds of each subnet's whole forward.
  std::vector<double> wholes(const std::vector<std::vector<int64_t>>& subnets, const CancelToken& cancel,
                             const ProgressFn& progress);

  // Runs the subnets, times every operator where it stands in the forward, and gives what `known` lacks.
  // Operators of equal key and sizes share a point: their median.
  LatencyTable operators(const std::vector<std::vector<int64_t>>& subnets,
                         const std::vector<OperatorShape>& shapes, const LatencyTable& known,
                         const CancelToken& cancel, const ProgressFn& progress);

 private:
  // Calls `run(subnet, bindings, options, progress)` for each subnet in each round.
  template <typename Run>
  void rounds(const std::vector<std::vector<int64_t>>& subnets, const CancelToken& cancel,
              const ProgressFn& progress, const char* message, Run&& run);

  Executor& executor_;
  std::vector<at::Tensor> inputs_;
  c10::Device device_;
  Bind bind_;
  LatencyOptions options_;
};

}  // namespace torchsearch

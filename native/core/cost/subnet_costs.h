#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "core/cost/cost_model.h"
#include "core/cost/latency_model.h"
#include "core/cost/memory_model.h"
#include "core/cost/metric.h"
#include "core/cost/operator_shape.h"
#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"
#include "core/profile/latency_table.h"

namespace torchsearch {

// What subnets of a model cost, without running anything.
class SubnetCosts {
 public:
  // `blocks` are those of the dependencies' program; `smallest` and `full`: the widths by group of the
  // smallest subnet and of the whole model; `views`: results that some widths make views.
  SubnetCosts(const Dependencies& dependencies, const ResidualBlocks& blocks, std::vector<int64_t> smallest,
              std::vector<int64_t> full, std::vector<NarrowView> views);

  // `widths` by group, `kept` by block. ERR_NO_LATENCY_TABLE
  double at(const std::vector<int64_t>& widths, const std::vector<bool>& kept, Metric metric) const;

  // What latencies are computed from; null for nothing. ERR_LATENCY_TABLE_INCOMPLETE
  void useLatencyTable(const LatencyTable* table);

  // What is measured for such a table: the operators that are executed.
  const std::vector<OperatorShape>& shapes() const { return shapes_; }

 private:
  double latencyAt(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const;

  CostModel costs_;
  MemoryModel memory_;
  std::vector<OperatorShape> shapes_;
  std::vector<Condition> conditions_;  // by instruction, on the blocks; empty without blocks
  std::vector<int64_t> smallest_;
  std::vector<int64_t> full_;
  // What runs under each different condition; null without a table.
  std::shared_ptr<const std::vector<std::pair<Condition, LatencyModel>>> latency_;
};

}  // namespace torchsearch

#include "core/cost/subnet_costs.h"

#include <map>

#include "core/base/error.h"

namespace torchsearch {

SubnetCosts::SubnetCosts(const Dependencies& dependencies, const ResidualBlocks& blocks,
                         std::vector<int64_t> smallest, std::vector<int64_t> full,
                         std::vector<NarrowView> views)
    : costs_(dependencies, blocks),
      memory_(dependencies, blocks, std::move(views)),
      shapes_(operatorShapes(dependencies, smallest)),
      conditions_(blocks.liveness.instructions),
      smallest_(std::move(smallest)),
      full_(std::move(full)) {}

double SubnetCosts::at(const std::vector<int64_t>& widths, const std::vector<bool>& kept,
                       Metric metric) const {
  switch (metric) {
    case Metric::kParams:
      return costs_.params(widths, kept);
    case Metric::kMacs:
      return costs_.macs(widths, kept);
    case Metric::kFlops:
      return 2 * costs_.macs(widths, kept);
    case Metric::kSize:
      return costs_.size(widths, kept);
    case Metric::kMemory:
      return costs_.size(widths, kept) + memory_.at(widths, kept);
    case Metric::kLatency:
      return latencyAt(widths, kept);
  }
  return 0;
}

double SubnetCosts::latencyAt(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const {
  if (latency_ == nullptr) {
    throw Error(
        "ERR_NO_LATENCY_TABLE",
        "Latency needs a table: space.useLatencyTable(await space.measureLatency()), or a saved one.");
  }
  double total = 0;
  for (const auto& [condition, model] : *latency_) {
    if (condition.holds(kept)) total += model.at(widths);
  }
  return total;
}

void SubnetCosts::useLatencyTable(const LatencyTable* table) {
  if (table == nullptr) {
    latency_ = nullptr;
    return;
  }
  const LatencyModel complete(shapes_, smallest_, full_, *table);  // or else it throws
  std::map<Condition, std::vector<OperatorShape>> byCondition;
  for (const auto& shape : shapes_) {
    byCondition[conditions_.empty() ? Condition::always() : conditions_[shape.instruction]].push_back(shape);
  }
  auto models = std::make_shared<std::vector<std::pair<Condition, LatencyModel>>>();
  for (const auto& [condition, shapes] : byCondition) {
    models->emplace_back(condition, LatencyModel(shapes, smallest_, full_, *table));
  }
  latency_ = std::move(models);
}

}  // namespace torchsearch

// SearchSpace's latency: measured operator by operator, priced from a table.
#include <memory>

#include "core/graph/size_arguments.h"
#include "core/space/latency_design.h"
#include "core/space/latency_measurement.h"
#include "core/space/search_space.h"

namespace torchsearch {

std::vector<int64_t> SearchSpace::smallestWidths() const {
  std::vector<int64_t> smallest;
  for (const auto& hyperparameter : hyperparameters_) smallest.push_back(hyperparameter.choices.front());
  return groupWidths(smallest);
}

// Weights of one subnet alone, in memory of their own and row by row, as an exported module has them.
Bindings SearchSpace::separateBindings(const std::vector<int64_t>& widths) const {
  Bindings bindings = bindModule(*program_, module_->jit());
  for (size_t i = 0; i < program_->slots.size(); ++i) {
    if (!program_->slots[i].isStored()) continue;
    auto& value = bindings.values[i];
    value =
        narrowed(*dependencies_, static_cast<SlotId>(i), value, widths).clone(at::MemoryFormat::Contiguous);
  }
  bindings.overrides = sizeArguments(*dependencies_, widths);
  return bindings;
}

LatencyTable SearchSpace::measureLatency(const LatencyTable& known, int32_t points,
                                         const LatencyOptions& options, const CancelToken& cancel,
                                         const ProgressFn& progress) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  std::vector<int64_t> full(dependencies_->groupCount());
  for (size_t g = 0; g < full.size(); ++g) full[g] = dependencies_->groupSize(static_cast<int32_t>(g));
  std::vector<WidthLevels> levels;
  for (const auto& hyperparameter : hyperparameters_) {
    levels.push_back(widthLevels(hyperparameter.group, hyperparameter.choices, points));
  }
  const auto subnets = subnetsToMeasure(shapes_, levels, full, known);
  Executor executor(std::make_shared<const ExecutionPlan>(program_));
  SubnetTimer timer(
      executor, inputTensors(*graph_, dummyInput_), module_->device(),
      [this](const std::vector<int64_t>& widths) { return separateBindings(widths); }, options);
  return timer.operators(subnets, shapes_, known, cancel, progress);
}

std::vector<double> SearchSpace::timeSubnets(const std::vector<std::vector<int64_t>>& subnets,
                                             const LatencyOptions& options, const CancelToken& cancel,
                                             const ProgressFn& progress) {
  const auto moduleLock = module_->lock();
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  std::vector<std::vector<int64_t>> byGroup;
  for (const auto& widths : subnets) byGroup.push_back(groupWidths(widths));
  Executor executor(std::make_shared<const ExecutionPlan>(program_));
  SubnetTimer timer(
      executor, inputTensors(*graph_, dummyInput_), module_->device(),
      [this](const std::vector<int64_t>& widths) { return separateBindings(widths); }, options);
  return timer.wholes(byGroup, cancel, progress);
}

void SearchSpace::useLatencyTable(const LatencyTable* table) {
  if (table == nullptr) {
    latency_ = nullptr;
    return;
  }
  std::vector<int64_t> full;
  for (const auto& hyperparameter : hyperparameters_) full.push_back(hyperparameter.full);
  latency_ = std::make_shared<const LatencyModel>(shapes_, smallestWidths(), groupWidths(full), *table);
}

}  // namespace torchsearch

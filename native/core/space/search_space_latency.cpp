// SearchSpace's latency: measured operator by operator, priced from a table.
#include <map>
#include <memory>
#include <utility>

#include "core/cost/latency_design.h"
#include "core/cost/latency_measurement.h"
#include "core/graph/size_arguments.h"
#include "core/space/search_space.h"

namespace torchsearch {

std::vector<int64_t> SearchSpace::smallestWidths() const {
  std::vector<int64_t> smallest;
  for (const auto& hyperparameter : hyperparameters_) smallest.push_back(hyperparameter.choices.front());
  return subnetOf(smallest).widths;
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
    if (hyperparameter.group == kNoGroup) continue;
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
  std::map<std::vector<bool>, std::vector<size_t>> byBlocks;  // positions in `subnets`
  std::vector<Subnet> wanted;
  for (const auto& values : subnets) {
    wanted.push_back(subnetOf(values));
    byBlocks[wanted.back().kept].push_back(wanted.size() - 1);
  }
  std::vector<double> times(subnets.size());
  for (const auto& [kept, positions] : byBlocks) {
    const auto running = std::make_shared<const Program>(withoutBlocks(*program_, blocks_, kept));
    Executor executor(std::make_shared<const ExecutionPlan>(running));
    SubnetTimer timer(
        executor, inputTensors(*graph_, dummyInput_), module_->device(),
        [this](const std::vector<int64_t>& widths) { return separateBindings(widths); }, options);
    std::vector<std::vector<int64_t>> widths;
    for (const size_t position : positions) widths.push_back(wanted[position].widths);
    const auto measured = timer.wholes(widths, cancel, progress);
    for (size_t i = 0; i < positions.size(); ++i) times[positions[i]] = measured[i];
  }
  return times;
}

void SearchSpace::useLatencyTable(const LatencyTable* table) {
  if (table == nullptr) {
    latency_ = nullptr;
    return;
  }
  std::vector<int64_t> full;
  for (const auto& hyperparameter : hyperparameters_) full.push_back(hyperparameter.full);
  const auto smallest = smallestWidths();
  const auto whole = subnetOf(full).widths;
  const LatencyModel complete(shapes_, smallest, whole, *table);  // or else it throws
  std::map<Condition, std::vector<OperatorShape>> byCondition;
  for (const auto& shape : shapes_) {
    const auto& conditions = blocks_.liveness.instructions;
    byCondition[conditions.empty() ? Condition::always() : conditions[shape.instruction]].push_back(shape);
  }
  auto models = std::make_shared<std::vector<std::pair<Condition, LatencyModel>>>();
  for (const auto& [condition, shapes] : byCondition) {
    models->emplace_back(condition, LatencyModel(shapes, smallest, whole, *table));
  }
  latency_ = std::move(models);
}

}  // namespace torchsearch

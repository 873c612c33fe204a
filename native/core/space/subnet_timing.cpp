#include "core/space/subnet_timing.h"

#include <map>
#include <memory>

#include "core/cost/latency_design.h"
#include "core/cost/latency_measurement.h"
#include "core/space/subnet_bindings.h"

namespace torchsearch {

namespace {

SubnetTimer timerOf(const ConvertedModel& model, Executor& executor, const LatencyOptions& options) {
  const auto bind = [&model](const std::vector<int64_t>& widths) {
    return bindSeparately(*model.program, *model.dependencies, model.module->jit(), widths);
  };
  return {executor, inputTensors(*model.graph, model.dummyInput), model.module->device(), bind, options};
}

}  // namespace

LatencyTable measureOperators(const ConvertedModel& model, const std::vector<Hyperparameter>& hyperparameters,
                              const std::vector<OperatorShape>& shapes, const LatencyTable& known,
                              int32_t points, const LatencyOptions& options, const CancelToken& cancel,
                              const ProgressFn& progress) {
  std::vector<WidthLevels> levels;
  for (const auto& hyperparameter : hyperparameters) {
    if (hyperparameter.group == kNoGroup) continue;
    levels.push_back(widthLevels(hyperparameter.group, hyperparameter.choices, points));
  }
  const auto subnets = subnetsToMeasure(shapes, levels, fullWidths(*model.dependencies), known);
  Executor executor(std::make_shared<const ExecutionPlan>(model.program));
  return timerOf(model, executor, options).operators(subnets, shapes, known, cancel, progress);
}

std::vector<double> timeForwards(const ConvertedModel& model, const std::vector<Subnet>& subnets,
                                 const LatencyOptions& options, const CancelToken& cancel,
                                 const ProgressFn& progress) {
  std::map<std::vector<bool>, std::vector<size_t>> byBlocks;  // positions in `subnets`
  for (size_t i = 0; i < subnets.size(); ++i) byBlocks[subnets[i].kept].push_back(i);
  std::vector<double> times(subnets.size());
  for (const auto& [kept, positions] : byBlocks) {
    const auto running = std::make_shared<const Program>(withoutBlocks(*model.program, model.blocks, kept));
    Executor executor(std::make_shared<const ExecutionPlan>(running));
    std::vector<std::vector<int64_t>> widths;
    for (const size_t position : positions) widths.push_back(subnets[position].widths);
    const auto measured = timerOf(model, executor, options).wholes(widths, cancel, progress);
    for (size_t i = 0; i < positions.size(); ++i) times[positions[i]] = measured[i];
  }
  return times;
}

}  // namespace torchsearch

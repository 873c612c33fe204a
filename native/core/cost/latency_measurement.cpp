#include "core/cost/latency_measurement.h"

#include <algorithm>
#include <map>
#include <utility>

namespace torchsearch {

namespace {

constexpr int32_t kRounds = 3;

double lowerQuartile(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return quantile(times, 0.25);
}

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return quantile(times, 0.5);
}

// What reading the clock around an operator adds to it, in milliseconds.
double clockCost(bool cpuTime) {
  std::vector<double> times;
  for (int i = 0; i < 1000; ++i) {
    const double start = clockMs(cpuTime);
    times.push_back(clockMs(cpuTime) - start);
  }
  return median(std::move(times));
}

}  // namespace

SubnetTimer::SubnetTimer(Executor& executor, std::vector<at::Tensor> inputs, c10::Device device, Bind bind,
                         const LatencyOptions& options)
    : executor_(executor),
      inputs_(std::move(inputs)),
      device_(device),
      bind_(std::move(bind)),
      options_(options) {
  options_.cpuTime = device.is_cpu() && threadsOf(options) == 1;
}

template <typename Run>
void SubnetTimer::rounds(const std::vector<std::vector<int64_t>>& subnets, const CancelToken& cancel,
                         const ProgressFn& progress, const char* message, Run&& run) {
  const int32_t count = std::min(kRounds, options_.repeats);
  const int64_t total = static_cast<int64_t>(subnets.size()) * count;
  int64_t done = 0;
  for (int32_t round = 0; round < count; ++round) {
    LatencyOptions options = options_;
    options.repeats = options_.repeats * (round + 1) / count - options_.repeats * round / count;
    if (round > 0) options.warmup = std::min(options.warmup, 1);  // caches are cold, kernels are made
    for (size_t i = 0; i < subnets.size(); ++i) {
      cancel.throwIfCancelled();
      const Bindings bindings = bind_(subnets[i]);
      run(i, bindings, options);
      if (progress) progress({++done, total, message});
    }
  }
}

std::vector<double> SubnetTimer::wholes(const std::vector<std::vector<int64_t>>& subnets,
                                        const CancelToken& cancel, const ProgressFn& progress) {
  std::vector<std::vector<double>> times(subnets.size());
  rounds(subnets, cancel, progress, "subnets",
         [&](size_t subnet, const Bindings& bindings, const LatencyOptions& options) {
           const auto more = timeForwards(executor_, bindings, inputs_, device_, options, cancel);
           times[subnet].insert(times[subnet].end(), more.begin(), more.end());
         });
  std::vector<double> result;
  for (auto& all : times) result.push_back(lowerQuartile(std::move(all)));
  return result;
}

LatencyTable SubnetTimer::operators(const std::vector<std::vector<int64_t>>& subnets,
                                    const std::vector<OperatorShape>& shapes, const LatencyTable& known,
                                    const CancelToken& cancel, const ProgressFn& progress) {
  std::vector<std::vector<std::vector<double>>> times(subnets.size(),
                                                      std::vector<std::vector<double>>(shapes.size()));
  rounds(subnets, cancel, progress, "operators",
         [&](size_t subnet, const Bindings& bindings, const LatencyOptions& options) {
           const auto more = timeInstructions(executor_, bindings, inputs_, device_, options, cancel);
           for (size_t s = 0; s < shapes.size(); ++s) {
             const auto& own = more[shapes[s].instruction];
             times[subnet][s].insert(times[subnet][s].end(), own.begin(), own.end());
           }
         });
  const double clock = clockCost(options_.cpuTime);
  std::map<std::pair<std::string, LatencyTable::Sizes>, std::vector<double>> points;
  for (size_t subnet = 0; subnet < subnets.size(); ++subnet) {
    for (size_t s = 0; s < shapes.size(); ++s) {
      auto sizes = shapes[s].sizesAt(subnets[subnet]);
      if (known.has(shapes[s].key, sizes)) continue;
      points[{shapes[s].key, std::move(sizes)}].push_back(
          std::max(0.0, lowerQuartile(std::move(times[subnet][s])) - clock));
    }
  }
  LatencyTable measured;
  for (auto& [point, all] : points) measured.add(point.first, point.second, median(std::move(all)));
  return measured;
}

}  // namespace torchsearch

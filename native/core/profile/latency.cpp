#include "core/profile/latency.h"

#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <numeric>

namespace torchsearch {

namespace {

using Clock = std::chrono::steady_clock;

double millisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// What a measurement computes with: copies of everything that the program would change for its caller.
struct Workload {
  Bindings bindings;
  std::vector<at::Tensor> inputs;

  Workload(const ExecutionPlan& plan, const Bindings& given, const std::vector<at::Tensor>& givenInputs)
      : bindings(given), inputs(givenInputs) {
    for (size_t slot = 0; slot < bindings.values.size(); ++slot) {
      auto& value = bindings.values[slot];
      if (value.defined() && plan.writtenFrom(static_cast<SlotId>(slot), 0)) value = value.clone();
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (plan.writtenFrom(plan.program().inputs[i], 0)) inputs[i] = inputs[i].clone();
    }
  }
};

// Keeps the start of each instruction and collects its duration.
class InstructionTimer : public ExecutionObserver {
 public:
  InstructionTimer(size_t instructions, c10::Device device) : device_(device), durations_(instructions) {}

  void beforeInstruction(int32_t, const std::vector<at::Tensor>&) override { start_ = Clock::now(); }
  void afterInstruction(int32_t instruction, const std::vector<at::Tensor>&) override {
    synchronize(device_);
    durations_[instruction].push_back(millisecondsSince(start_));
  }

  std::vector<double> medians() {
    std::vector<double> medians;
    medians.reserve(durations_.size());
    for (auto& durations : durations_) {
      std::sort(durations.begin(), durations.end());
      medians.push_back(quantile(durations, 0.5));
    }
    return medians;
  }

 private:
  c10::Device device_;
  Clock::time_point start_;
  std::vector<std::vector<double>> durations_;
};

}  // namespace

ThreadScope::ThreadScope(int32_t threads) : before_(at::get_num_threads()) {
  if (threads > 0 && threads != before_) at::set_num_threads(threads);
}

ThreadScope::~ThreadScope() {
  if (at::get_num_threads() != before_) at::set_num_threads(before_);
}

void synchronize(c10::Device device) {
  if (device.is_cpu()) return;
  const c10::impl::VirtualGuardImpl guard(device.type());
  guard.getStream(device).synchronize();
}

double quantile(const std::vector<double>& ascending, double q) {
  if (ascending.empty()) return 0;
  const double position = q * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (position - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

LatencySummary measureLatency(Executor& executor, const Bindings& bindings,
                              const std::vector<at::Tensor>& inputs, c10::Device device,
                              const LatencyOptions& options, const CancelToken& cancel,
                              const ProgressFn& progress) {
  const at::NoGradGuard noGrad;
  const ThreadScope threads(options.threads);
  const Workload workload(executor.plan(), bindings, inputs);
  const int32_t total = options.warmup + options.repeats;
  std::vector<double> times;
  times.reserve(options.repeats);
  for (int32_t run = 0; run < total; ++run) {
    const auto start = Clock::now();
    executor.run(workload.bindings, workload.inputs, cancel);
    synchronize(device);
    if (run >= options.warmup) times.push_back(millisecondsSince(start));
    if (progress) progress({run + 1, total, "latency"});
  }
  std::sort(times.begin(), times.end());
  LatencySummary summary;
  summary.warmup = options.warmup;
  summary.runs = options.repeats;
  summary.threads = at::get_num_threads();
  summary.p10 = quantile(times, 0.1);
  summary.p50 = summary.median = quantile(times, 0.5);
  summary.p90 = quantile(times, 0.9);
  summary.p99 = quantile(times, 0.99);
  summary.min = times.empty() ? 0 : times.front();
  summary.max = times.empty() ? 0 : times.back();
  summary.mean = times.empty()
                     ? 0
                     : std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
  return summary;
}

std::vector<double> measureInstructions(Executor& executor, const Bindings& bindings,
                                        const std::vector<at::Tensor>& inputs, c10::Device device,
                                        const LatencyOptions& options, const CancelToken& cancel,
                                        const ProgressFn& progress) {
  const at::NoGradGuard noGrad;
  const ThreadScope threads(options.threads);
  const Workload workload(executor.plan(), bindings, inputs);
  InstructionTimer timer(executor.plan().instructionCount(), device);
  RunOptions run;
  run.observer = &timer;
  for (int32_t repeat = 0; repeat < options.repeats; ++repeat) {
    executor.run(workload.bindings, workload.inputs, cancel, run);
    if (progress) progress({repeat + 1, options.repeats, "operators"});
  }
  return timer.medians();
}

}  // namespace torchsearch

#include "core/profile/latency.h"

#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <numeric>
#include <optional>
#include <utility>

#include "core/base/cleanup.h"
#include "core/device/event_timer.h"

namespace torchsearch {

namespace {

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

// Keeps the start of each instruction and collects its duration: on the CPU by the clock, on other devices by
// events on the stream, between which the device is not waited for.
class InstructionTimer : public ExecutionObserver {
 public:
  InstructionTimer(size_t instructions, c10::Device device, bool cpuTime)
      : cpuTime_(cpuTime), durations_(instructions) {
    if (!device.is_cpu()) events_.emplace(device);
  }

  void beforeInstruction(int32_t instruction, const std::vector<at::Tensor>&) override {
    if (events_) {
      events_->mark();
      order_.push_back(instruction);
      return;
    }
    const double now = clockMs(cpuTime_);
    close(now);
    running_ = instruction;
    start_ = now;
  }
  void afterInstruction(int32_t, const std::vector<at::Tensor>&) override {}
  void endOfRun() {
    if (!events_) {
      close(clockMs(cpuTime_));
      running_ = -1;
      return;
    }
    events_->mark();
    const std::vector<double> times = events_->take();
    for (size_t i = 0; i < order_.size(); ++i) durations_[order_[i]].push_back(times[i]);
    order_.clear();
  }

  std::vector<std::vector<double>> take() { return std::move(durations_); }

 private:
  // What an instruction is the last to use is freed after it, and counts as its own: freeing takes time, too.
  void close(double now) {
    if (running_ >= 0) durations_[running_].push_back(now - start_);
  }

  bool cpuTime_;
  std::optional<EventTimer> events_;
  std::vector<int32_t> order_;  // of the instructions that events were marked for
  int32_t running_ = -1;
  double start_ = 0;
  std::vector<std::vector<double>> durations_;
};

}  // namespace

double clockMs(bool cpuTime) {
#ifdef CLOCK_THREAD_CPUTIME_ID
  timespec time{};
  if (cpuTime && clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
  }
#else
  (void)cpuTime;
#endif
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(now).count();
}

int32_t threadsOf(const LatencyOptions& options) {
  return options.threads > 0 ? options.threads : at::get_num_threads();
}

ThreadScope::ThreadScope(int32_t threads) : before_(at::get_num_threads()) {
  if (threads > 0 && threads != before_) at::set_num_threads(threads);
}

ThreadScope::~ThreadScope() {
  cleanUp([this] {
    if (at::get_num_threads() != before_) at::set_num_threads(before_);
  });
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

std::vector<double> timeForwards(Executor& executor, const Bindings& bindings,
                                 const std::vector<at::Tensor>& inputs, c10::Device device,
                                 const LatencyOptions& options, const CancelToken& cancel,
                                 const ProgressFn& progress) {
  const at::NoGradGuard noGrad;
  const ThreadScope threads(options.threads);
  const Workload workload(executor.plan(), bindings, inputs);
  const int32_t total = options.warmup + options.repeats;
  std::vector<double> times;
  times.reserve(options.repeats);
  std::optional<EventTimer> events;
  if (!device.is_cpu()) events.emplace(device);
  synchronize(device);  // with what the caller left under way
  for (int32_t run = 0; run < total; ++run) {
    double time = 0;
    if (events) {
      events->mark();
      executor.run(workload.bindings, workload.inputs, cancel);
      events->mark();
      time = events->take().front();
    } else {
      const double start = clockMs(options.cpuTime);
      executor.run(workload.bindings, workload.inputs, cancel);
      time = clockMs(options.cpuTime) - start;
    }
    if (run >= options.warmup) times.push_back(time);
    if (progress) progress({run + 1, total, "latency"});
  }
  return times;
}

LatencySummary measureLatency(Executor& executor, const Bindings& bindings,
                              const std::vector<at::Tensor>& inputs, c10::Device device,
                              const LatencyOptions& options, const CancelToken& cancel,
                              const ProgressFn& progress) {
  std::vector<double> times = timeForwards(executor, bindings, inputs, device, options, cancel, progress);
  std::sort(times.begin(), times.end());
  LatencySummary summary;
  summary.warmup = options.warmup;
  summary.runs = options.repeats;
  summary.threads = threadsOf(options);
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

std::vector<std::vector<double>> timeInstructions(Executor& executor, const Bindings& bindings,
                                                  const std::vector<at::Tensor>& inputs, c10::Device device,
                                                  const LatencyOptions& options, const CancelToken& cancel,
                                                  const ProgressFn& progress) {
  const at::NoGradGuard noGrad;
  const ThreadScope threads(options.threads);
  const Workload workload(executor.plan(), bindings, inputs);
  InstructionTimer timer(executor.plan().instructionCount(), device, options.cpuTime);
  RunOptions timed;
  timed.observer = &timer;
  const int32_t total = options.warmup + options.repeats;
  synchronize(device);  // with what the caller left under way
  for (int32_t run = 0; run < total; ++run) {
    executor.run(workload.bindings, workload.inputs, cancel, run < options.warmup ? RunOptions() : timed);
    timer.endOfRun();
    if (progress) progress({run + 1, total, "operators"});
  }
  return timer.take();
}

std::vector<double> measureInstructions(Executor& executor, const Bindings& bindings,
                                        const std::vector<at::Tensor>& inputs, c10::Device device,
                                        const LatencyOptions& options, const CancelToken& cancel,
                                        const ProgressFn& progress) {
  LatencyOptions cold = options;
  cold.warmup = 0;
  auto durations = timeInstructions(executor, bindings, inputs, device, cold, cancel, progress);
  std::vector<double> medians;
  medians.reserve(durations.size());
  for (auto& times : durations) {
    std::sort(times.begin(), times.end());
    medians.push_back(quantile(times, 0.5));
  }
  return medians;
}

}  // namespace torchsearch

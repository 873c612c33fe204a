#pragma once

#include <torch/script.h>

#include <cstdint>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/progress.h"
#include "core/forward/executor.h"

namespace torchsearch {

struct LatencyOptions {
  int32_t warmup = 3;    // forwards before the first one measured
  int32_t repeats = 20;  // forwards measured
  int32_t threads = 0;   // LibTorch's intra-op threads while measuring; 0 keeps their number
  // Count this thread's processor time, where one thread of the CPU does all the work: what an idle machine's
  // clock would show, however busy the machine is.
  bool cpuTime = false;
};

// Times of whole forwards, in milliseconds. Quantiles are interpolated linearly.
struct LatencySummary {
  double median = 0, mean = 0, min = 0, max = 0;
  double p10 = 0, p50 = 0, p90 = 0, p99 = 0;
  int32_t warmup = 0, runs = 0, threads = 0;
};

// The number that `options` means, on this thread.
int32_t threadsOf(const LatencyOptions& options);

// Milliseconds since some fixed moment: of the wall clock, or of processor time that this thread has had
// (where the platform tells it).
double clockMs(bool cpuTime);

// Fixes the number of intra-op threads of this thread while it lives.
class ThreadScope {
 public:
  explicit ThreadScope(int32_t threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int32_t before_;
};

// Waits until the device has finished what was given to it.
void synchronize(c10::Device device);

// Times whole forwards, without timers inside: by the clock on the CPU, by events on the device's stream
// elsewhere, from an idle device to the end of its work. Progress counts forwards. Inputs and bindings that
// the program writes are copied first.
LatencySummary measureLatency(Executor& executor, const Bindings& bindings,
                              const std::vector<at::Tensor>& inputs, c10::Device device,
                              const LatencyOptions& options, const CancelToken& cancel,
                              const ProgressFn& progress = {});

// Milliseconds of each timed forward, in order. Progress and copies as above.
std::vector<double> timeForwards(Executor& executor, const Bindings& bindings,
                                 const std::vector<at::Tensor>& inputs, c10::Device device,
                                 const LatencyOptions& options, const CancelToken& cancel,
                                 const ProgressFn& progress = {});

// Milliseconds of each instruction in each timed forward (none for speculative ones). On a device they are
// the times between events before each instruction: while the device is behind, those of the kernels, else
// those of launching them; they add up to the forward's.
std::vector<std::vector<double>> timeInstructions(Executor& executor, const Bindings& bindings,
                                                  const std::vector<at::Tensor>& inputs, c10::Device device,
                                                  const LatencyOptions& options, const CancelToken& cancel,
                                                  const ProgressFn& progress = {});

// Median milliseconds of each instruction, of forwards without warm-up (0 for speculative ones).
std::vector<double> measureInstructions(Executor& executor, const Bindings& bindings,
                                        const std::vector<at::Tensor>& inputs, c10::Device device,
                                        const LatencyOptions& options, const CancelToken& cancel,
                                        const ProgressFn& progress = {});

// The q-quantile of ascending values, interpolated linearly as numpy does by default.
double quantile(const std::vector<double>& ascending, double q);

}  // namespace torchsearch

#include "core/device/device_memory.h"

#include <ATen/ATen.h>

#include "core/base/failure.h"
#include "core/evaluation/evaluate.h"
#include "core/model/module.h"
#include "core/profile/latency.h"
#include "tests/support/doctest.h"
#include "tests/support/simulated_device.h"

using namespace torchsearch;
using testing::simulatedDevice;

namespace {

// Batches of 64 KB; the product holds another one.
constexpr int64_t kBatchBytes = 16 * 1024 * 4;

struct Task {
  Task()
      : model(doubling()), dataset({at::ones({160, 1024}), at::zeros({160}, at::kLong)}, {.batchSize = 16}) {
    options.target = 1;
  }

  static torch::jit::Module doubling() {
    torch::jit::Module module("m");
    module.register_parameter("two", at::full({1}, 2.0).to(simulatedDevice()), false);
    module.register_attribute("training", c10::BoolType::get(), false);
    module.define("def forward(self, x):\n  return x * self.two\n");
    return module;
  }

  double score() {
    const auto accuracy = Score::make(ScoreKind::kTopKAccuracy, {});
    return evaluate(model, dataset, *accuracy, options, CancelToken(), {}).value;
  }

  DeviceMemory memory() {
    synchronize(simulatedDevice());
    return *deviceMemory(simulatedDevice());
  }

  Module model;
  Dataset dataset;
  LoopOptions options;
};

}  // namespace

TEST_CASE("the CPU keeps no account of memory") {
  CHECK_FALSE(deviceMemory(c10::kCPU).has_value());
  resetDeviceMemoryPeak(c10::kCPU);
}

TEST_CASE("a device's memory is counted, with its peak, and a pass gives back all that it took") {
  Task task;
  const double first = task.score();
  const DeviceMemory before = task.memory();
  CHECK(before.allocated >= 4);  // the weight
  resetDeviceMemoryPeak(simulatedDevice());
  CHECK(task.memory().peakAllocated == before.allocated);
  CHECK(task.score() == first);
  const DeviceMemory after = task.memory();
  CHECK(after.allocated == before.allocated);
  CHECK(after.peakAllocated >= before.allocated + 2 * kBatchBytes);
  // A batch that is computed, its output, two that wait, one on its way, and what the score makes.
  CHECK(after.peakAllocated <= before.allocated + 9 * kBatchBytes);
}

TEST_CASE("running out of a device's memory says so, whoever asked for it, and leaves all usable") {
  Task task;
  const double expected = task.score();
  const auto held = static_cast<size_t>(task.memory().allocated);
  // Not enough for a batch; enough for one, but not for what is computed of it, or for the next.
  for (const int64_t room : {kBatchBytes / 2, kBatchBytes * 3 / 2}) {
    testing::setCapacity(held + static_cast<size_t>(room));
    try {
      task.score();
      FAIL("it fits");
    } catch (...) {
      CHECK(describeFailure(std::current_exception(), "ERR_TEST").code == "ERR_OUT_OF_MEMORY");
    }
    testing::setCapacity(SIZE_MAX);
    CHECK(static_cast<size_t>(task.memory().allocated) == held);
    CHECK(task.score() == expected);
  }
}

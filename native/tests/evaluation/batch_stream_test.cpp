#include "core/evaluation/batch_stream.h"

#include <ATen/ATen.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "core/base/error.h"
#include "core/device/event_timer.h"
#include "core/evaluation/evaluate.h"
#include "core/profile/latency.h"
#include "tests/support/doctest.h"
#include "tests/support/simulated_device.h"

using namespace torchsearch;
using testing::launch;
using testing::simulatedDevice;

namespace {

// Batches of 400 KB.
constexpr int64_t kSamples = 1000;
constexpr int64_t kWidth = 1000;

Dataset manySamples(std::optional<uint64_t> seed) {
  const at::Tensor x = at::arange(kSamples * kWidth, at::kFloat).reshape({kSamples, kWidth});
  return Dataset({x, at::arange(kSamples)}, {.batchSize = 100, .shuffleSeed = seed});
}

// What the device holds, once it is there.
at::Tensor onCpu(const at::Tensor& tensor) {
  synchronize(simulatedDevice());
  at::Tensor copy = at::empty(tensor.sizes(), tensor.scalar_type());
  std::memcpy(copy.mutable_data_ptr(), tensor.const_data_ptr(), tensor.nbytes());
  return copy;
}

// What a device computes of every batch, later on: the sum of each.
std::vector<double> sumsOnDevice(const Dataset& dataset, const at::Tensor& order) {
  auto sums = std::make_shared<std::vector<double>>();
  BatchStream stream(dataset, {{0}, 1, simulatedDevice(), order, 0, dataset.batches()});
  CHECK(stream.makesAhead());
  for (int64_t i = 0; i < dataset.batches(); ++i) {
    const auto batch = stream.next();
    CHECK(batch[0].device() == simulatedDevice());
    launch([sums, data = batch[0].const_data_ptr<float>(), count = batch[0].numel()] {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      double sum = 0;
      for (int64_t k = 0; k < count; ++k) sum += data[k];
      sums->push_back(sum);
    });
  }
  synchronize(simulatedDevice());
  return *sums;
}

}  // namespace

TEST_CASE("batches are the data set's, in order, made ahead for a device and when asked for on the CPU") {
  const Dataset shuffled = manySamples(5);
  for (const at::Tensor& own : {at::Tensor(), shuffled.randomOrder(9)}) {
    BatchStream here(shuffled, {{0}, 1, c10::kCPU, own, 2, 9});
    BatchStream there(shuffled, {{0}, 1, simulatedDevice(), own, 2, 9});
    CHECK_FALSE(here.makesAhead());
    CHECK(there.makesAhead());
    for (int64_t i = 2; i < 9; ++i) {
      const auto expected = shuffled.batch(i, own);
      const auto batch = here.next();
      const auto sent = there.next();
      REQUIRE(batch.size() == 2);
      for (size_t t = 0; t < 2; ++t) {
        CHECK(at::equal(batch[t], expected[t]));
        CHECK(at::equal(onCpu(sent[t]), expected[t]));
      }
    }
    CHECK_THROWS_AS(here.next(), c10::Error);  // the pass is over
  }
}

TEST_CASE("batches on the CPU are views where they can be; what was not asked for is not made") {
  const Dataset plain = manySamples(std::nullopt);
  BatchStream views(plain, {{0}, -1, c10::kCPU, {}, 0, plain.batches()});
  const auto batch = views.next();
  CHECK(batch[0].is_alias_of(plain.tensor(0)));
  CHECK_FALSE(batch[1].defined());
  // One batch alone needs no thread.
  CHECK_FALSE(BatchStream(plain, {{0}, 1, simulatedDevice(), {}, 3, 4}).makesAhead());
}

TEST_CASE(
    "a stream that is left early stops, and a failure in its thread is told in its place, again and again") {
  for (int i = 0; i < 20; ++i) {
    const Dataset shuffled = manySamples(static_cast<uint64_t>(i));
    BatchStream stream(shuffled, {{0}, 1, simulatedDevice(), {}, 0, shuffled.batches()});
    for (int taken = 0; taken < i % 3; ++taken) stream.next();
  }
  Dataset closing = manySamples(3);
  BatchStream stream(closing, {{0}, 1, simulatedDevice(), {}, 0, closing.batches()});
  const at::Tensor first = closing.batch(0)[0];
  CHECK(at::equal(onCpu(stream.next()[0]), first));
  closing.close();
  int64_t more = 0;
  try {
    for (;; ++more) stream.next();
  } catch (const Error& error) {
    CHECK(error.code() == "ERR_CLOSED");
  }
  CHECK(more <= 3);  // those that were made already, or being made
  CHECK_THROWS_AS(stream.next(), Error);
}

TEST_CASE("a loop that fails or is cancelled leaves nothing running") {
  const Dataset shuffled = manySamples(3);
  LoopOptions options;
  options.target = 1;
  options.device = simulatedDevice();
  const CancelToken cancel;
  int64_t seen = 0;
  const auto stop = [&](const Inputs&, const at::Tensor&) {
    if (++seen == 3) cancel.cancel();
  };
  CHECK_THROWS_AS(forEachBatch(shuffled, options, stop, cancel, {}), Error);
  CHECK(seen == 3);
  const auto fail = [&](const Inputs&, const at::Tensor&) { throw Error("ERR_TEST", "no"); };
  CHECK_THROWS_AS(forEachBatch(shuffled, options, fail, CancelToken(), {}), Error);
  int64_t labels = 0;
  const auto add = [&](const Inputs& inputs, const at::Tensor& target) {
    const at::Tensor x = onCpu(inputs.args.at(0).toTensor());
    const at::Tensor y = onCpu(target);
    CHECK(at::equal(x.select(1, 0).to(at::kLong), y * kWidth));
    labels += y.sum().item<int64_t>();
  };
  CHECK(forEachBatch(shuffled, options, add, CancelToken(), {}).samples == kSamples);
  CHECK(labels == kSamples * (kSamples - 1) / 2);
}

TEST_CASE("a device gets every batch whole, while it is behind and its memory is used again") {
  for (const bool shuffles : {true, false}) {
    const Dataset dataset = manySamples(shuffles ? std::optional<uint64_t>(3) : std::nullopt);
    std::vector<double> expected;
    for (int64_t i = 0; i < dataset.batches(); ++i) {
      expected.push_back(dataset.batch(i)[0].to(at::kDouble).sum().item<double>());
    }
    const int pinned = testing::pinnedAllocations();
    const int recorded = testing::streamsRecorded();
    CHECK(sumsOnDevice(dataset, {}) == expected);
    CHECK(testing::pinnedAllocations() - pinned == 2 * dataset.batches());
    CHECK(testing::streamsRecorded() - recorded == 2 * dataset.batches());
  }
}

TEST_CASE("the CPU does not run away from the device") {
  const Dataset dataset = manySamples(3);
  BatchStream stream(dataset, {{0}, 1, simulatedDevice(), {}, 0, dataset.batches()});
  std::atomic<int> computed = 0;
  for (int64_t i = 0; i < dataset.batches(); ++i) {
    const auto batch = stream.next();
    // The event before this batch is awaited when the one after the next is taken.
    CHECK(computed >= static_cast<int>(i) - 2);
    launch([&computed] {
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      ++computed;
    });
  }
  synchronize(simulatedDevice());
}

TEST_CASE("without page-locked memory batches are copied all the same") {
  const Dataset dataset = manySamples(4);
  testing::refusePinning(true);
  std::vector<double> expected;
  for (int64_t i = 0; i < dataset.batches(); ++i) {
    expected.push_back(dataset.batch(i)[0].to(at::kDouble).sum().item<double>());
  }
  CHECK(sumsOnDevice(dataset, {}) == expected);
  testing::refusePinning(false);
}

TEST_CASE("events time what a device does, not what waits for it") {
  EventTimer timer(simulatedDevice());
  for (int round = 0; round < 2; ++round) {
    timer.mark();
    for (const int ms : {4, 12}) {
      launch([ms] { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); });
      timer.mark();
    }
    const auto times = timer.take();
    REQUIRE(times.size() == 2);
    CHECK(times[0] >= 4);
    CHECK(times[1] >= 12);
  }
  CHECK(timer.take().empty());
}

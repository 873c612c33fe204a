#include "tests/support/simulated_device.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/library.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>

#include "tests/support/simulated_operators.h"

namespace torchsearch::testing {

namespace {

constexpr c10::DeviceType kType = c10::kPrivateUse1;
constexpr unsigned char kFreed = 0x7B;  // as a float: 1.3e36
constexpr size_t kStreams = 4;          // 0 is the default one

class Worker {
 public:
  Worker() : thread_([this] { run(); }) { thread_.detach(); }

  void put(std::function<void()> work) {
    {
      const std::lock_guard guard(mutex_);
      queue_.push_back(std::move(work));
      ++waiting_;
    }
    changed_.notify_all();
  }
  void synchronize() {
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [&] { return waiting_ == 0; });
  }
  bool idle() {
    const std::lock_guard guard(mutex_);
    return waiting_ == 0;
  }

 private:
  void run() {
    for (;;) {
      std::unique_lock guard(mutex_);
      changed_.wait(guard, [&] { return !queue_.empty(); });
      const auto work = std::move(queue_.front());
      queue_.pop_front();
      guard.unlock();
      work();
      guard.lock();
      --waiting_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  size_t waiting_ = 0;
  std::thread thread_;
};

// They live as long as the process: their threads can't be stopped amid static destruction.
Worker& worker(c10::StreamId stream) {
  static auto* workers = new std::array<Worker, kStreams>;
  return (*workers)[static_cast<size_t>(stream)];
}

thread_local c10::StreamId currentStream = 0;

// One recording of an event.
struct Moment {
  std::mutex mutex;
  std::condition_variable changed;
  bool passed = false;
  std::chrono::steady_clock::time_point time;

  void pass() {
    {
      const std::lock_guard guard(mutex);
      passed = true;
      time = std::chrono::steady_clock::now();
    }
    changed.notify_all();
  }
  void wait() {
    std::unique_lock guard(mutex);
    changed.wait(guard, [&] { return passed; });
  }
  bool query() {
    const std::lock_guard guard(mutex);
    return passed;
  }
};

using MomentPtr = std::shared_ptr<Moment>;

MomentPtr recordOn(c10::StreamId stream) {
  auto moment = std::make_shared<Moment>();
  worker(stream).put([moment] { moment->pass(); });
  return moment;
}

MomentPtr& momentOf(void* event) {
  return *static_cast<MomentPtr*>(event);
}

struct Block {
  size_t bytes = 0;
  c10::StreamId owner = 0;
  std::set<c10::StreamId> users;  // as record_stream() told
};

// Both kinds of memory by address. Blocks are never given back to the system while the test process runs: a
// late read must find what overwrote them.
struct Memory {
  std::mutex mutex;
  std::unordered_map<void*, Block> device;
  std::unordered_map<void*, Block> pinned;
  c10::CachingAllocator::Stat allocated;  // of the device
  std::atomic<size_t> capacity = SIZE_MAX;
  std::atomic<int> pinnedAllocations = 0;
  std::atomic<int> recorded = 0;
  std::atomic<bool> refusePinning = false;
};

Memory& memory() {
  static auto* instance = new Memory;
  return *instance;
}

void release(std::unordered_map<void*, Block>& blocks, void* data, bool onDevice) {
  Block block;
  {
    const std::lock_guard guard(memory().mutex);
    const auto found = blocks.find(data);
    block = found->second;
    blocks.erase(found);
    if (onDevice) memory().allocated.decrease(block.bytes);
  }
  std::vector<MomentPtr> after;
  for (const c10::StreamId user : block.users) after.push_back(recordOn(user));
  const auto overwrite = [data, block, after] {
    for (const auto& moment : after) moment->wait();
    std::memset(data, kFreed, block.bytes);
  };
  if (onDevice) {
    // A later tensor of the owner's stream would be written in that stream's order.
    if (block.users.empty()) {
      worker(block.owner).put(overwrite);
    } else {
      std::thread(overwrite).detach();
    }
  } else if (block.users.empty()) {
    overwrite();
  } else {
    std::thread(overwrite).detach();
  }
}

class DeviceAllocator final : public c10::DeviceAllocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    TORCH_CHECK_WITH(OutOfMemoryError, memory().allocated.current + bytes <= memory().capacity,
                     "the simulated device is out of memory");
    void* data = bytes == 0 ? nullptr : std::malloc(bytes);
    if (data != nullptr) {
      const std::lock_guard guard(memory().mutex);
      memory().device[data] = {bytes, currentStream, {}};
      memory().allocated.increase(bytes);
    }
    return {data, data, &free, simulatedDevice()};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }

  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {}
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override {
    c10::CachingDeviceAllocator::DeviceStats stats;
    const std::lock_guard guard(memory().mutex);
    stats.allocated_bytes[0] = stats.reserved_bytes[0] = memory().allocated;
    return stats;
  }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override {
    const std::lock_guard guard(memory().mutex);
    memory().allocated.reset_peak();
  }

 private:
  static void free(void* data) {
    if (data != nullptr) release(memory().device, data, true);
  }
};

DeviceAllocator& deviceAllocator() {
  static DeviceAllocator allocator;
  return allocator;
}

class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    TORCH_CHECK(!memory().refusePinning, "no page-locked memory left");
    ++memory().pinnedAllocations;
    void* data = std::malloc(std::max<size_t>(bytes, 1));
    const std::lock_guard guard(memory().mutex);
    memory().pinned[data] = {bytes, 0, {}};
    return {data, data, &free, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }

 private:
  static void free(void* data) { release(memory().pinned, data, false); }
};

c10::Stream streamOf(c10::StreamId id) {
  return c10::Stream(c10::Stream::UNSAFE, simulatedDevice(), id);
}

struct Guard final : public c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kType; }
  c10::Device exchangeDevice(c10::Device) const override { return simulatedDevice(); }
  c10::Device getDevice() const override { return simulatedDevice(); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return streamOf(currentStream); }
  c10::Stream getDefaultStream(c10::Device) const override { return streamOf(0); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool isHighPriority) const override {
    return streamOf(isHighPriority ? 2 : 1);
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return streamOf(std::exchange(currentStream, stream.id()));
  }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void** event, const c10::Stream& stream, const c10::DeviceIndex,
              const c10::EventFlag) const override {
    if (*event == nullptr) *event = new MomentPtr;
    momentOf(*event) = recordOn(stream.id());
  }
  void block(void* event, const c10::Stream& stream) const override {
    worker(stream.id()).put([moment = momentOf(event)] { moment->wait(); });
  }
  bool queryEvent(void* event) const override { return momentOf(event)->query(); }
  void synchronizeEvent(void* event) const override { momentOf(event)->wait(); }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override {
    delete static_cast<MomentPtr*>(event);
  }
  double elapsedTime(void* from, void* to, const c10::DeviceIndex) const override {
    return std::chrono::duration<double, std::milli>(momentOf(to)->time - momentOf(from)->time).count();
  }
  bool queryStream(const c10::Stream& stream) const override { return worker(stream.id()).idle(); }
  void synchronizeStream(const c10::Stream& stream) const override { worker(stream.id()).synchronize(); }
  void recordDataPtrOnStream(const c10::DataPtr& data, const c10::Stream& stream) const override {
    ++memory().recorded;
    const std::lock_guard guard(memory().mutex);
    const auto found = memory().device.find(data.get());
    if (found != memory().device.end() && found->second.owner != stream.id()) {
      found->second.users.insert(stream.id());
    }
  }
};

struct Hooks final : public at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  bool isPinnedPtr(const void* data) const override {
    const std::lock_guard guard(memory().mutex);
    return memory().pinned.count(const_cast<void*>(data)) > 0;
  }
  // at::manual_seed() seeds it along; nothing draws from it.
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = at::detail::createCPUGenerator();
    return generator;
  }
  c10::Allocator* getPinnedMemoryAllocator() const override {
    static PinnedAllocator allocator;
    return &allocator;
  }
};

at::Tensor emptyStrided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> dtype,
                        std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &deviceAllocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           dtype.value_or(at::kFloat));
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> dtype, std::optional<at::Layout> layout,
                 std::optional<at::Device> device, std::optional<bool> pinned,
                 std::optional<at::MemoryFormat> format) {
  const auto wanted = format.value_or(at::MemoryFormat::Contiguous);
  const auto strides =
      at::empty(sizes, at::TensorOptions().device(at::kMeta).memory_format(wanted)).strides().vec();
  return emptyStrided(sizes, strides, dtype, layout, device, pinned);
}

at::Tensor copyFrom(const at::Tensor& source, const at::Tensor& target, bool nonBlocking) {
  const bool plain = source.scalar_type() == target.scalar_type() && source.is_contiguous() &&
                     target.is_contiguous() && source.numel() == target.numel();
  if (!plain || !source.is_cpu() || captures()) {
    copyOnHost(source, target);
    return target;
  }
  const bool pinned = source.is_pinned();
  void* from = source.data_ptr();
  if (pinned) {
    const std::lock_guard guard(memory().mutex);
    memory().pinned[from].users.insert(currentStream);
  }
  const auto copy = [from, to = target.data_ptr(), bytes = source.nbytes()] { std::memcpy(to, from, bytes); };
  worker(currentStream).put(copy);
  if (!pinned || !nonBlocking) worker(currentStream).synchronize();
  return target;
}

void recordStream(at::Tensor& tensor, c10::Stream stream) {
  const c10::impl::VirtualGuardImpl implementation(kType);
  implementation.recordDataPtrOnStream(tensor.storage().data_ptr(), stream);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", emptyStrided);
  library.impl("_copy_from", copyFrom);
  library.impl("record_stream", recordStream);
}

}  // namespace

c10::Device simulatedDevice() {
  static const bool registered = [] {
    static const Guard guard;
    static const c10::impl::DeviceGuardImplRegistrar registrar(kType, &guard);
    c10::register_privateuse1_backend("simulated");
    static Hooks hooks;
    at::RegisterPrivateUse1HooksInterface(&hooks);
    c10::SetAllocator(kType, &deviceAllocator());
    registerGraphs();
    return true;
  }();
  (void)registered;
  return {kType, 0};
}

c10::StreamId currentStreamId() {
  return currentStream;
}

void finishCurrentStream() {
  worker(currentStream).synchronize();
}

void launch(std::function<void()> work) {
  worker(currentStream).put(std::move(work));
}

int pinnedAllocations() {
  return memory().pinnedAllocations;
}

int streamsRecorded() {
  return memory().recorded;
}

void setCapacity(size_t bytes) {
  memory().capacity = bytes;
}

void refusePinning(bool refuse) {
  memory().refusePinning = refuse;
}

}  // namespace torchsearch::testing

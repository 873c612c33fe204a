#include "core/forward/allocation_pool.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace torchsearch {

// A thread's memory.
struct AllocationPool::Blocks {
  struct Unused {
    void* data;
    int64_t pool;  // in which it was used last
  };
  std::multimap<size_t, Unused> unused;  // by bytes
  int64_t pools = 0;                     // opened so far
  bool open = false;

  ~Blocks() {
    for (const auto& [bytes, block] : unused) c10::free_cpu(block.data);
  }
};

namespace {

using Blocks = AllocationPool::Blocks;

constexpr size_t kLeast = size_t{1} << 18;  // bytes; smaller memory is not mapped anew
constexpr size_t kKept = size_t{1} << 27;   // bytes that stay with the thread between two pools
constexpr uint8_t kPriority = 1;

thread_local std::shared_ptr<Blocks> own;      // null before the first pool
thread_local std::shared_ptr<Blocks> current;  // null outside of pools

// Gives memory of the thread's pool, where it has one, else LibTorch's.
class PoolAllocator final : public c10::Allocator {
 public:
  // Replaces LibTorch's for good: tensors keep pointing to their allocator.
  static PoolAllocator& install() {
    static auto* const allocator = new PoolAllocator();  // outlives every tensor
    return *allocator;
  }

  c10::DataPtr allocate(size_t bytes) override {
    if (current == nullptr || bytes < kLeast) return base_->allocate(bytes);
    void* data = nullptr;
    const std::lock_guard guard(mutex_);
    auto& unused = current->unused;
    const auto found = unused.lower_bound(bytes);
    size_t size = bytes;
    if (found != unused.end() && found->first <= bytes + bytes / 2) {
      size = found->first;
      data = found->second.data;
      unused.erase(found);
    } else {
      data = c10::alloc_cpu(bytes);
    }
    used_.emplace(data, std::make_pair(size, current));
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, size_t bytes) const override {
    base_->copy_data(to, from, bytes);
  }

  void close(Blocks& blocks) {
    const std::lock_guard guard(mutex_);
    blocks.open = false;
    size_t kept = 0;
    for (auto at = blocks.unused.begin(); at != blocks.unused.end();) {
      if (at->second.pool == blocks.pools && kept + at->first <= kKept) {
        kept += at->first;
        ++at;
      } else {
        c10::free_cpu(at->second.data);
        at = blocks.unused.erase(at);
      }
    }
  }

  void open(Blocks& blocks) {
    const std::lock_guard guard(mutex_);
    blocks.open = true;
    ++blocks.pools;
  }

 private:
  PoolAllocator() : base_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, kPriority); }

  static void release(void* data) {
    auto& self = install();
    {
      const std::lock_guard guard(self.mutex_);
      const auto found = self.used_.find(data);
      if (found != self.used_.end()) {
        const auto [bytes, blocks] = std::move(found->second);
        self.used_.erase(found);
        if (blocks->open) {
          blocks->unused.emplace(bytes, Blocks::Unused{data, blocks->pools});
        } else {
          c10::free_cpu(data);
        }
        return;
      }
    }
    self.base_->raw_deleter()(data);
  }

  c10::Allocator* base_;
  std::mutex mutex_;
  std::unordered_map<void*, std::pair<size_t, std::shared_ptr<Blocks>>> used_;
};

}  // namespace

AllocationPool::AllocationPool() : outermost_(current == nullptr) {
  if (!outermost_) return;
  auto& allocator = PoolAllocator::install();
  if (own == nullptr) own = std::make_shared<Blocks>();
  allocator.open(*own);
  current = own;
}

AllocationPool::~AllocationPool() {
  if (!outermost_) return;
  current.reset();
  PoolAllocator::install().close(*own);
}

}  // namespace torchsearch

#include "core/forward/allocation_pool.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>

#include <memory>
#include <thread>

#include "tests/doctest.h"

namespace torchsearch::testing {

TEST_CASE("a pool hands the memory of released tensors on, and tensors outlive it") {
  at::Tensor kept;
  {
    const AllocationPool pool;
    at::Tensor first = at::ones({1 << 20});
    const void* memory = first.data_ptr();
    first.reset();
    at::Tensor second = at::ones({1 << 20});
    CHECK_EQ(second.data_ptr(), memory);
    at::Tensor third = at::full({1 << 20}, 3);
    CHECK_NE(third.data_ptr(), memory);
    kept = third;
    std::thread([tensor = std::move(second)]() mutable { tensor.reset(); }).join();  // NOLINT
    const at::Tensor fourth = at::ones({(1 << 20) - 5});
    CHECK_EQ(fourth.data_ptr(), memory);
  }
  CHECK(at::equal(kept, at::full({1 << 20}, 3)));
  kept = at::cat({kept, kept});  // released after the pool, whose thread has none now
  CHECK_EQ(kept.sum().item<double>(), 3.0 * (1 << 21));
}

TEST_CASE("pools nest, and raw memory goes back where it came from") {
  const AllocationPool outer;
  {
    const AllocationPool inner;
    auto* const allocator = c10::GetCPUAllocator();
    for (const size_t bytes : {size_t{100}, size_t{1} << 22}) {
      void* raw = allocator->raw_allocate(bytes);
      CHECK_NE(raw, nullptr);
      allocator->raw_deallocate(raw);
    }
  }
  at::Tensor tensor = at::ones({1 << 20});
  const void* memory = tensor.data_ptr();
  tensor.reset();
  CHECK_EQ(at::ones({1 << 20}).data_ptr(), memory);
}

TEST_CASE("what a pool used waits for the next one") {
  const void* memory = nullptr;
  {
    const AllocationPool pool;
    memory = at::ones({1 << 21}).data_ptr();
  }
  const AllocationPool pool;
  CHECK_EQ(at::ones({1 << 21}).data_ptr(), memory);
}

}  // namespace torchsearch::testing

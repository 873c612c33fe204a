// TensorMemory: what large tensors get while a scope is open, and what becomes of it when they are freed.
#include "core/device/tensor_memory.h"

#include <ATen/ATen.h>

#include <thread>
#include <vector>

#include "tests/support/doctest.h"

namespace torchsearch::testing {

namespace {

constexpr int64_t kMegabyte = 1 << 20;

at::Tensor bytes(int64_t count) {
  return at::empty({count}, at::kByte);
}

TensorMemory::Use use() {
  return TensorMemory::instance().use();
}

}  // namespace

TEST_CASE("tensor memory: only large tensors made in a scope take it") {
  TensorMemory::instance().trim();
  const auto before = use();
  const at::Tensor outside = bytes(4 * kMegabyte);
  CHECK(use().used == before.used);
  const TensorMemory::Scope scope;
  const at::Tensor small = bytes(1000);
  CHECK(use().used == before.used);
  const at::Tensor large = bytes(4 * kMegabyte);
  CHECK(use().used == before.used + 4 * kMegabyte);
  CHECK(reinterpret_cast<uintptr_t>(large.data_ptr()) % 64 == 0);
  CHECK(at::empty({0}).numel() == 0);
}

TEST_CASE("tensor memory: freed memory is given to the next tensor, and to the system by trim") {
  TensorMemory::instance().trim();
  const auto before = use();
  void* first = nullptr;
  {
    const TensorMemory::Scope scope;
    at::Tensor tensor = bytes(40 * kMegabyte);
    first = tensor.data_ptr();
    tensor.reset();
    CHECK(use().used == before.used);
    CHECK(use().held >= before.held + 40 * kMegabyte);
    tensor = bytes(40 * kMegabyte);
    CHECK(tensor.data_ptr() == first);
    const auto held = use().held;
    // A smaller one takes a part, and the rest serves, too.
    tensor.reset();
    const at::Tensor part = bytes(10 * kMegabyte);
    const at::Tensor rest = bytes(30 * kMegabyte);
    CHECK(part.data_ptr() == first);
    CHECK(rest.data_ptr() == static_cast<char*>(first) + 10 * kMegabyte);
    CHECK(use().held == held);
  }
  TensorMemory::instance().trim();
  CHECK(use().held == before.held);
}

TEST_CASE("tensor memory: freed pieces join, in whatever order they go") {
  TensorMemory::instance().trim();
  for (const auto& order : std::vector<std::vector<size_t>>{
           {0, 1, 2, 3}, {3, 2, 1, 0}, {0, 2, 1, 3}, {1, 3, 0, 2}, {2, 0, 3, 1}}) {
    const TensorMemory::Scope scope;
    std::vector<at::Tensor> tensors;
    at::Tensor whole = bytes(40 * kMegabyte);
    void* const place = whole.data_ptr();
    const auto held = use().held;
    whole.reset();
    for (int i = 0; i < 4; ++i) tensors.push_back(bytes(10 * kMegabyte));
    for (const size_t i : order) tensors[i].reset();
    whole = bytes(40 * kMegabyte);
    CHECK(whole.data_ptr() == place);
    CHECK(use().held == held);
  }
  TensorMemory::instance().trim();
}

TEST_CASE("tensor memory: trim keeps what tensors hold, whose neighbours are usable again") {
  TensorMemory::instance().trim();
  at::Tensor kept;
  const TensorMemory::Scope scope;
  {
    const at::Tensor before = at::full({kMegabyte}, 1, at::kByte);
    kept = at::full({kMegabyte}, 7, at::kByte);
    const at::Tensor after = at::full({kMegabyte}, 2, at::kByte);
  }
  TensorMemory::instance().trim();
  CHECK(use().held > 0);
  CHECK(kept.eq(7).all().item<bool>());
  const at::Tensor again = at::full({3 * kMegabyte}, 3, at::kByte);
  CHECK(kept.eq(7).all().item<bool>());
  CHECK(again.eq(3).all().item<bool>());
}

TEST_CASE("tensor memory: tensors may be freed by another thread, and outside the scope") {
  TensorMemory::instance().trim();
  const auto before = use();
  at::Tensor tensor;
  {
    const TensorMemory::Scope scope;
    tensor = bytes(2 * kMegabyte);
  }
  std::thread([moved = std::move(tensor)]() mutable { moved.reset(); }).join();
  CHECK(use().used == before.used);
  // A thread without a scope of its own takes nothing.
  const TensorMemory::Scope scope;
  std::thread([&] {
    const at::Tensor other = bytes(2 * kMegabyte);
    CHECK(use().used == before.used);
  }).join();
}

TEST_CASE("tensor memory: the raw interface, which oneDNN uses, takes and frees either kind") {
  auto* allocator = c10::GetAllocator(c10::kCPU);
  const auto before = use();
  void* small = allocator->raw_allocate(100);
  allocator->raw_deallocate(small);
  const TensorMemory::Scope scope;
  void* large = allocator->raw_allocate(2 * kMegabyte);
  CHECK(use().used == before.used + 2 * kMegabyte);
  allocator->raw_deallocate(large);
  CHECK(use().used == before.used);
}

}  // namespace torchsearch::testing

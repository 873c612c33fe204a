#pragma once

namespace torchsearch {

// While one lives, large tensors that this thread allocates on the CPU take the memory of those that were
// released before. The system's allocator would give such memory back and map fresh pages for the next layer.
// Tensors may outlive the pool, and be released on any thread. Up to 128 MB of what one pool used wait for
// the thread's next one.
class AllocationPool {
 public:
  AllocationPool();
  ~AllocationPool();
  AllocationPool(const AllocationPool&) = delete;
  AllocationPool& operator=(const AllocationPool&) = delete;

  struct Blocks;

 private:
  bool outermost_;  // those within it share its memory
};

}  // namespace torchsearch

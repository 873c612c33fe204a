#pragma once

#include <c10/core/Allocator.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace torchsearch {

// Memory for the tensors that forwards make on the CPU, kept from one to the next. The C library gives large
// blocks back to the system as soon as they are freed, and the next forward pays for every page of them
// again: the system's share of a forward of mobilenet_v2 on 8 images was measured as a fifth.
//
// While a scope is open on a thread, the large tensors that it makes come from regions of this memory: the
// smallest free piece that fits, split, and joined with its free neighbours once it is freed, by whatever
// thread. All else is the allocator's that was there before.
class TensorMemory final : public c10::Allocator {
 public:
  // Takes the place of LibTorch's allocator when it is first asked for; never destroyed, as tensors may
  // outlive any other object.
  static TensorMemory& instance();

  class Scope {
   public:
    Scope();
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  c10::DataPtr allocate(size_t bytes) override;
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* destination, const void* source, size_t bytes) const override;

  // Gives back to the system what no tensor uses.
  void trim();

  struct Use {
    size_t used = 0;  // bytes, by tensors
    size_t held = 0;  // the same and what is free
  };
  Use use() const;

 private:
  explicit TensorMemory(c10::Allocator* base) : base_(base) {}

  struct Piece {
    size_t size = 0;
    bool free = true;
    bool first = false;  // of its region: not to be joined with what happens to lie before it
  };
  using Pieces = std::map<char*, Piece>;

  static void release(void* pointer);
  void* take(size_t bytes);
  bool give(char* pointer);
  void dropFreeRegions();
  Pieces::iterator grow(size_t bytes);
  void join(Pieces::iterator piece);
  void markFree(Pieces::iterator piece);
  void markUsed(Pieces::iterator piece);

  c10::Allocator* base_;
  mutable std::mutex mutex_;
  std::map<char*, c10::DataPtr> regions_;
  Pieces pieces_;  // of all regions, without gaps within one
  std::set<std::pair<size_t, char*>> free_;
  size_t used_ = 0;
  size_t held_ = 0;
};

}  // namespace torchsearch

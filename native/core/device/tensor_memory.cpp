#include "core/device/tensor_memory.h"

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string_view>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace torchsearch {
namespace {

// The C library keeps smaller blocks itself.
constexpr size_t kSmallest = 128 << 10;
constexpr size_t kRegion = 32 << 20;  // of tensors that are smaller; only what is touched of it is memory
constexpr size_t kAlignment = 64;     // that LibTorch gives
constexpr size_t kPage = size_t{2} << 20;

thread_local int openScopes = 0;

size_t roundedUp(size_t bytes, size_t to) {
  return (bytes + to - 1) / to * to;
}

// `TORCHSEARCH_KEEP_MEMORY=0` leaves LibTorch's allocator in place.
bool isWanted() {
  const char* value = std::getenv("TORCHSEARCH_KEEP_MEMORY");
  return value == nullptr || std::string_view(value) != "0";
}

// Free memory amid used memory: the system may take the pages, and gives empty ones when they are touched
// again.
void discard([[maybe_unused]] char* begin, [[maybe_unused]] size_t size) {
#if defined(__linux__)
  constexpr size_t kSystemPage = 64 << 10;  // the largest of common systems
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const size_t skipped = roundedUp(address, kSystemPage) - address;
  if (size < skipped + kSystemPage) return;
  madvise(begin + skipped, (size - skipped) / kSystemPage * kSystemPage, MADV_DONTNEED);
#endif
}

}  // namespace

TensorMemory& TensorMemory::instance() {
  static TensorMemory* const memory = [] {
    auto* made = new TensorMemory(c10::GetCPUAllocator());
    if (isWanted()) c10::SetCPUAllocator(made, /*priority=*/1);
    return made;
  }();
  return *memory;
}

TensorMemory::Scope::Scope() {
  instance();
  ++openScopes;
}

TensorMemory::Scope::~Scope() {
  --openScopes;
}

c10::DataPtr TensorMemory::allocate(size_t bytes) {
  void* pointer = nullptr;
  if (openScopes > 0 && bytes >= kSmallest) {
    pointer = take(bytes);
  } else {
    pointer = base_->raw_allocate(bytes);
  }
  return {pointer, pointer, &release, c10::Device(c10::kCPU)};
}

void TensorMemory::copy_data(void* destination, const void* source, size_t bytes) const {
  default_copy_data(destination, source, bytes);
}

void TensorMemory::release(void* pointer) {
  if (pointer == nullptr) return;
  TensorMemory& memory = instance();
  if (!memory.give(static_cast<char*>(pointer))) memory.base_->raw_deallocate(pointer);
}

void* TensorMemory::take(size_t bytes) {
  const size_t size = roundedUp(bytes, kAlignment);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto fits = free_.lower_bound({size, nullptr});
  const auto piece = fits != free_.end() ? pieces_.find(fits->second) : grow(size);
  markUsed(piece);
  const size_t rest = piece->second.size - size;
  if (rest >= kSmallest) {
    piece->second.size = size;
    markFree(pieces_.emplace(piece->first + size, Piece{rest}).first);
  }
  used_ += piece->second.size;
  return piece->first;
}

// False for memory that is none of these regions'.
bool TensorMemory::give(char* pointer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto piece = pieces_.find(pointer);
  if (piece == pieces_.end()) return false;
  used_ -= piece->second.size;
  join(piece);
  return true;
}

// A new region's piece. What can't be had while others are held for nothing is asked for once more without.
TensorMemory::Pieces::iterator TensorMemory::grow(size_t bytes) {
  const size_t size = bytes <= kRegion / 2 ? kRegion : roundedUp(bytes, kPage);
  c10::DataPtr region;
  try {
    region = base_->allocate(size);
  } catch (const c10::Error&) {
    dropFreeRegions();
    region = base_->allocate(size);
  }
  auto* begin = static_cast<char*>(region.get());
  regions_.emplace(begin, std::move(region));
  held_ += size;
  const auto piece = pieces_.emplace(begin, Piece{size, true, true}).first;
  markFree(piece);
  return piece;
}

// A piece that is free from now on, with its free neighbours.
void TensorMemory::join(Pieces::iterator piece) {
  const auto next = std::next(piece);
  if (next != pieces_.end() && next->second.free && !next->second.first) {
    free_.erase({next->second.size, next->first});
    piece->second.size += next->second.size;
    pieces_.erase(next);
  }
  if (!piece->second.first) {
    const auto before = std::prev(piece);
    if (before->second.free) {
      free_.erase({before->second.size, before->first});
      before->second.size += piece->second.size;
      pieces_.erase(piece);
      piece = before;
    }
  }
  markFree(piece);
}

void TensorMemory::markFree(Pieces::iterator piece) {
  piece->second.free = true;
  free_.emplace(piece->second.size, piece->first);
}

void TensorMemory::markUsed(Pieces::iterator piece) {
  piece->second.free = false;
  free_.erase({piece->second.size, piece->first});
}

void TensorMemory::trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  dropFreeRegions();
  for (const auto& [size, begin] : free_) discard(begin, size);
}

void TensorMemory::dropFreeRegions() {
  for (auto region = regions_.begin(); region != regions_.end();) {
    const auto piece = pieces_.find(region->first);
    const auto next = std::next(piece);
    const bool whole = piece->second.free && (next == pieces_.end() || next->second.first);
    if (!whole) {
      ++region;
      continue;
    }
    held_ -= piece->second.size;
    free_.erase({piece->second.size, piece->first});
    pieces_.erase(piece);
    region = regions_.erase(region);
  }
}

TensorMemory::Use TensorMemory::use() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {used_, held_};
}

}  // namespace torchsearch

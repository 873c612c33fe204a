#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace torchsearch {

// 128 bits that stand for some content: fast, and good enough that no two contents of one process ever meet
// by chance. Not for keeping: it may differ between versions and machines.
struct Digest {
  uint64_t low = 0;
  uint64_t high = 0;

  bool operator==(const Digest& other) const { return low == other.low && high == other.high; }
  bool operator!=(const Digest& other) const { return !(*this == other); }
};

struct DigestHash {
  size_t operator()(const Digest& digest) const { return static_cast<size_t>(digest.low); }
};

// The digest of a sequence: what `before` stands for, and then a value.
Digest followedBy(const Digest& before, uint64_t value);
Digest followedBy(const Digest& before, const Digest& value);

Digest digestOfBytes(const void* data, size_t bytes);

// Of shape, strides, dtype and contents.
Digest digestOf(const at::Tensor& tensor);

}  // namespace torchsearch

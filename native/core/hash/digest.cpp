#include "core/hash/digest.h"

#include <ATen/ATen.h>

#include <cstring>

namespace torchsearch {

namespace {

// Odd numbers with evenly spread bits.
constexpr uint64_t kA = 0xa0761d6478bd642fULL;
constexpr uint64_t kB = 0xe7037ed1a0b428dbULL;
constexpr uint64_t kC = 0x8ebc6af09c88c6e3ULL;
constexpr uint64_t kD = 0x589965cc75374cc3ULL;
constexpr uint64_t kE = 0x1d8e4e27c47d124fULL;

// The halves of a product of 128 bits, folded: one multiplication mixes two words well (as in wyhash).
uint64_t folded(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t word(const unsigned char* data) {
  uint64_t value;
  std::memcpy(&value, data, sizeof(value));
  return value;
}

}  // namespace

Digest followedBy(const Digest& before, uint64_t value) {
  return {folded(before.low ^ kA ^ value, before.high ^ kB) ^ before.low,
          folded(before.high ^ kC ^ value, before.low ^ kD) + before.high};
}

Digest followedBy(const Digest& before, const Digest& value) {
  return followedBy(followedBy(before, value.low), value.high);
}

// Four chains that do not wait for each other, each over every fourth pair of words.
Digest digestOfBytes(const void* data, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  uint64_t chains[4] = {kA, kB, kC, kD};
  size_t left = bytes;
  for (; left >= 64; left -= 64, at += 64) {
    for (size_t c = 0; c < 4; ++c) {
      chains[c] = folded(word(at + 16 * c) ^ kE, word(at + 16 * c + 8) ^ chains[c]) + chains[c];
    }
  }
  Digest digest{bytes, kE};
  for (const uint64_t chain : chains) digest = followedBy(digest, chain);
  for (; left >= 8; left -= 8, at += 8) digest = followedBy(digest, word(at));
  if (left > 0) {
    unsigned char rest[8] = {};
    std::memcpy(rest, at, left);
    digest = followedBy(digest, word(rest));
  }
  return digest;
}

Digest digestOf(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  Digest digest{static_cast<uint64_t>(tensor.scalar_type()), static_cast<uint64_t>(tensor.dim())};
  for (int64_t d = 0; d < tensor.dim(); ++d) {
    digest = followedBy(digest, static_cast<uint64_t>(tensor.size(d)));
    digest = followedBy(digest, static_cast<uint64_t>(tensor.stride(d)));
  }
  const at::Tensor plain = tensor.detach().cpu().contiguous();
  return followedBy(digest, digestOfBytes(plain.const_data_ptr(), plain.nbytes()));
}

}  // namespace torchsearch

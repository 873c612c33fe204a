#include "core/hash/sha256.h"

#include <algorithm>
#include <cstring>

namespace torchsearch {

Sha256::Sha256()
    : Sha256(sha256BlocksHardware() != nullptr ? sha256BlocksHardware() : sha256BlocksPortable) {}

void Sha256::update(const void* data, size_t size) {
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  length_ += size;
  if (pendingSize_ > 0) {
    const size_t take = std::min(size, pending_.size() - pendingSize_);
    std::memcpy(pending_.data() + pendingSize_, bytes, take);
    pendingSize_ += take, bytes += take, size -= take;
    if (pendingSize_ < pending_.size()) return;
    blocks_(state_, pending_.data(), 1);
    pendingSize_ = 0;
  }
  blocks_(state_, bytes, size / 64);
  bytes += size / 64 * 64, size %= 64;
  if (size > 0) std::memcpy(pending_.data(), bytes, size);
  pendingSize_ = size;
}

std::string Sha256::hex() {
  const uint64_t bits = length_ * 8;
  const uint8_t one = 0x80;
  const uint8_t zero = 0;
  update(&one, 1);
  while (pendingSize_ != 56) update(&zero, 1);
  std::array<uint8_t, 8> tail;
  for (size_t i = 0; i < 8; ++i) tail[i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
  update(tail.data(), tail.size());
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const uint32_t word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) out += digits[(word >> shift) & 15];
  }
  return out;
}

}  // namespace torchsearch

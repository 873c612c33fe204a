#include "core/archive/crc32.h"

#include <array>
#include <bit>
#include <cstring>

namespace torchsearch {
namespace {

constexpr size_t kSlices = 8;
using CrcTables = std::array<std::array<uint32_t, 256>, kSlices>;

// Table k gives the effect of a byte that k more bytes follow ("slicing by 8"; Kounavis and Berry, "A
// Systematic Approach to Building High Performance Software-based CRC Generators", ISCC 2005).
constexpr CrcTables makeCrcTables() {
  CrcTables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320U : 0U);
    tables[0][byte] = value;
  }
  for (size_t slice = 1; slice < kSlices; ++slice) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr CrcTables kCrcTables = makeCrcTables();

}  // namespace

uint32_t crc32(const void* data, size_t size, uint32_t crc) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint32_t value = ~crc;
  if constexpr (std::endian::native == std::endian::little) {
    for (; size >= kSlices; size -= kSlices, bytes += kSlices) {
      uint32_t low = 0;
      uint32_t high = 0;
      std::memcpy(&low, bytes, 4);
      std::memcpy(&high, bytes + 4, 4);
      low ^= value;
      value = kCrcTables[7][low & 0xFF] ^ kCrcTables[6][(low >> 8) & 0xFF] ^
              kCrcTables[5][(low >> 16) & 0xFF] ^ kCrcTables[4][low >> 24] ^ kCrcTables[3][high & 0xFF] ^
              kCrcTables[2][(high >> 8) & 0xFF] ^ kCrcTables[1][(high >> 16) & 0xFF] ^
              kCrcTables[0][high >> 24];
    }
  }
  for (; size > 0; --size, ++bytes) value = (value >> 8) ^ kCrcTables[0][(value ^ *bytes) & 0xFF];
  return ~value;
}

}  // namespace torchsearch

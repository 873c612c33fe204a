#include "core/archive/crc32.h"

#include <string>

#include "tests/support/doctest.h"

using namespace torchsearch;

// Check values of CRC-32 (ISO 3309): Python's zlib.crc32 gives the same.
TEST_CASE("crc32 gives the published check values") {
  CHECK_EQ(crc32("123456789", 9), 0xCBF43926U);
  CHECK_EQ(crc32("", 0), 0U);
  CHECK_EQ(crc32("a", 1), 0xE8B7BE43U);
  CHECK_EQ(crc32("The quick brown fox jumps over the lazy dog", 43), 0x414FA339U);
}

TEST_CASE("crc32 of parts goes on where it was") {
  const std::string text = "The quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const uint32_t first = crc32(text.data(), cut);
    CHECK_EQ(crc32(text.data() + cut, text.size() - cut, first), 0x414FA339U);
  }
}

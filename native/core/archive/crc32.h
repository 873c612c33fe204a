#pragma once

#include <cstddef>
#include <cstdint>

namespace torchsearch {

// CRC-32 as zip archives store it (ISO 3309, reflected polynomial 0xEDB88320). `crc` continues an earlier
// sum.
uint32_t crc32(const void* data, size_t size, uint32_t crc = 0);

}  // namespace torchsearch

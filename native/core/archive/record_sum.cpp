#include "core/archive/record_sum.h"

#include <algorithm>
#include <string>

#include "core/archive/crc32.h"

namespace torchsearch {

uint32_t sumOfStored(const FileView& file, const ZipEntry& entry) {
  constexpr uint64_t kPart = 1 << 20;
  std::string buffer(std::min(entry.size, kPart), '\0');
  uint32_t sum = 0;
  for (uint64_t done = 0; done < entry.size;) {
    const size_t part = std::min<uint64_t>(entry.size - done, kPart);
    file.read(entry.dataOffset + done, buffer.data(), part);
    sum = crc32(buffer.data(), part, sum);
    done += part;
  }
  return sum;
}

}  // namespace torchsearch

#pragma once

#include <cstdint>

#include "core/archive/zip_directory.h"

namespace torchsearch {

// The CRC-32 of a stored record's bytes in the file, to be compared with `entry.crc`. Reads in parts.
uint32_t sumOfStored(const FileView& file, const ZipEntry& entry);

}  // namespace torchsearch

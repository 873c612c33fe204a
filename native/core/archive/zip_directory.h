#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/archive/file_view.h"

namespace torchsearch {

// One record of a zip archive, as the archive's directory describes it.
struct ZipEntry {
  std::string name;
  bool deflated = false;  // else stored
  uint32_t crc = 0;
  uint64_t compressedSize = 0;
  uint64_t size = 0;
  uint64_t headerOffset = 0;
  uint64_t dataOffset = 0;
};

// Reads the directory of a zip archive (PKWARE APPNOTE 6.3.10, with ZIP64), strictly: one disk, no
// encryption, stored or deflated records, every record inside of the file and apart from all others, and a
// local header that agrees with the directory. ERR_NOT_TORCHSCRIPT otherwise, saying what is wrong.
std::vector<ZipEntry> readZipDirectory(const FileView& file);

}  // namespace torchsearch

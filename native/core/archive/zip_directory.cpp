#include "core/archive/zip_directory.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "core/base/error.h"

namespace torchsearch {
namespace {

constexpr size_t kEndSize = 22;
constexpr size_t kEnd64Size = 56;
constexpr size_t kLocator64Size = 20;
constexpr size_t kDirectoryHeaderSize = 46;
constexpr size_t kLocalHeaderSize = 30;
constexpr uint32_t kEndMark = 0x06054b50;
constexpr uint32_t kEnd64Mark = 0x06064b50;
constexpr uint32_t kLocator64Mark = 0x07064b50;
constexpr uint32_t kDirectoryMark = 0x02014b50;
constexpr uint32_t kLocalMark = 0x04034b50;
constexpr uint16_t kZip64Field = 1;
constexpr uint16_t kEncrypted = 1;
constexpr uint16_t kDeflate = 8;
constexpr uint32_t kIn64 = std::numeric_limits<uint32_t>::max();
// LibTorch reads names into a buffer of 512 bytes.
constexpr size_t kMaxNameSize = 511;

[[noreturn]] void refuseZip(const FileView& file, const std::string& why) {
  throw Error("ERR_NOT_TORCHSCRIPT", "The archive \"" + file.path() + "\" is damaged or hostile: " + why +
                                         "; save the model again, or copy the file again.");
}

// Little-endian numbers at known places of some bytes.
class ZipFields {
 public:
  ZipFields(const FileView& file, std::string_view bytes) : file_(file), bytes_(bytes) {}

  template <class T>
  T at(size_t offset) const {
    if (offset + sizeof(T) > bytes_.size()) refuseZip(file_, "a header is cut off");
    T value = 0;
    for (size_t i = sizeof(T); i > 0; --i) {
      value = static_cast<T>((static_cast<uint64_t>(value) << 8) |
                             static_cast<unsigned char>(bytes_[offset + i - 1]));
    }
    return value;
  }

 private:
  const FileView& file_;
  std::string_view bytes_;
};

std::string bytesAt(const FileView& file, uint64_t offset, size_t size) {
  if (offset > file.size() || size > file.size() - offset)
    refuseZip(file, "its directory points outside of it");
  std::string bytes(size, '\0');
  file.read(offset, bytes.data(), size);
  return bytes;
}

struct DirectoryPlace {
  uint64_t entries = 0;
  uint64_t size = 0;
  uint64_t offset = 0;
};

DirectoryPlace findDirectory(const FileView& file) {
  if (file.size() < kEndSize) refuseZip(file, "it is too short");
  // Comments are refused: with one, two readers may find two different ends.
  const uint64_t end = file.size() - kEndSize;
  const std::string record = bytesAt(file, end, kEndSize);
  const ZipFields fields(file, record);
  if (fields.at<uint32_t>(0) != kEndMark || fields.at<uint16_t>(20) != 0) {
    refuseZip(file, "it does not end as a zip archive does (it is truncated, or something was appended)");
  }
  DirectoryPlace place{fields.at<uint16_t>(10), fields.at<uint32_t>(12), fields.at<uint32_t>(16)};
  const bool onDisks = fields.at<uint16_t>(4) != 0 || fields.at<uint16_t>(6) != 0 ||
                       fields.at<uint16_t>(8) != fields.at<uint16_t>(10);
  uint64_t directoryEnd = end;
  if (end >= kLocator64Size) {
    const std::string locator = bytesAt(file, end - kLocator64Size, kLocator64Size);
    const ZipFields locators(file, locator);
    if (locators.at<uint32_t>(0) == kLocator64Mark) {
      const auto at = locators.at<uint64_t>(8);
      const std::string record64 = bytesAt(file, at, kEnd64Size);
      const ZipFields fields64(file, record64);
      if (fields64.at<uint32_t>(0) != kEnd64Mark || locators.at<uint32_t>(4) != 0 ||
          fields64.at<uint32_t>(16) != 0 || fields64.at<uint32_t>(20) != 0 ||
          fields64.at<uint64_t>(24) != fields64.at<uint64_t>(32)) {
        refuseZip(file, "its ZIP64 end is wrong");
      }
      const DirectoryPlace place64{fields64.at<uint64_t>(32), fields64.at<uint64_t>(40),
                                   fields64.at<uint64_t>(48)};
      const auto agree = [](uint64_t small, uint64_t large, uint64_t unset) {
        return small == large || small == unset;
      };
      if (!agree(place.entries, place64.entries, 0xFFFF) || !agree(place.size, place64.size, kIn64) ||
          !agree(place.offset, place64.offset, kIn64)) {
        refuseZip(file, "its two ends disagree");
      }
      place = place64;
      directoryEnd = at;
    } else if (onDisks) {
      refuseZip(file, "it is spread over several files");
    }
  }
  if (place.offset > directoryEnd || place.size != directoryEnd - place.offset) {
    refuseZip(file, "its directory is not where its end says");
  }
  if (place.entries > place.size / kDirectoryHeaderSize)
    refuseZip(file, "it counts more records than it has");
  return place;
}

// Replaces what did not fit 32 bits by the numbers of the ZIP64 field, which come in this order.
void readZip64(const FileView& file, std::string_view extra, ZipEntry& entry) {
  const bool size = entry.size == kIn64;
  const bool compressed = entry.compressedSize == kIn64;
  const bool offset = entry.headerOffset == kIn64;
  if (!size && !compressed && !offset) return;
  const ZipFields fields(file, extra);
  for (size_t at = 0; at + 4 <= extra.size();) {
    const auto length = fields.at<uint16_t>(at + 2);
    if (fields.at<uint16_t>(at) == kZip64Field) {
      size_t from = at + 4;
      for (auto [needed, value] : {std::pair{size, &entry.size},
                                   {compressed, &entry.compressedSize},
                                   {offset, &entry.headerOffset}}) {
        if (!needed) continue;
        if (from + 8 > at + 4 + length) refuseZip(file, "a ZIP64 field is too short");
        *value = fields.at<uint64_t>(from);
        from += 8;
      }
      return;
    }
    at += 4 + size_t{length};
  }
  refuseZip(file, "a ZIP64 field is missing");
}

// The local header must say what the directory says: readers differ in which of them they believe.
void readLocalHeader(const FileView& file, uint64_t directory, ZipEntry& entry) {
  const std::string header = bytesAt(file, entry.headerOffset, kLocalHeaderSize);
  const ZipFields fields(file, header);
  if (fields.at<uint32_t>(0) != kLocalMark) refuseZip(file, "record \"" + entry.name + "\" has no header");
  const auto nameSize = fields.at<uint16_t>(26);
  const auto extraSize = fields.at<uint16_t>(28);
  if (bytesAt(file, entry.headerOffset + kLocalHeaderSize, nameSize) != entry.name) {
    refuseZip(file, "record \"" + entry.name + "\" has two names");
  }
  if (fields.at<uint16_t>(8) != (entry.deflated ? kDeflate : 0)) {
    refuseZip(file, "record \"" + entry.name + "\" is said to be stored in two ways");
  }
  entry.dataOffset = entry.headerOffset + kLocalHeaderSize + nameSize + extraSize;
  if (entry.dataOffset > directory || entry.compressedSize > directory - entry.dataOffset) {
    refuseZip(file, "record \"" + entry.name + "\" reaches beyond its place");
  }
  if (!entry.deflated && entry.compressedSize != entry.size) {
    refuseZip(file, "record \"" + entry.name + "\" has two sizes");
  }
}

// Records that share bytes would let a small file unpack to any size.
void requireApart(const FileView& file, const std::vector<ZipEntry>& entries) {
  std::vector<const ZipEntry*> ordered;
  ordered.reserve(entries.size());
  for (const ZipEntry& entry : entries) ordered.push_back(&entry);
  std::sort(ordered.begin(), ordered.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->headerOffset < b->headerOffset; });
  for (size_t i = 1; i < ordered.size(); ++i) {
    if (ordered[i - 1]->dataOffset + ordered[i - 1]->compressedSize > ordered[i]->headerOffset) {
      refuseZip(file, "records \"" + ordered[i - 1]->name + "\" and \"" + ordered[i]->name + "\" overlap");
    }
  }
}

}  // namespace

std::vector<ZipEntry> readZipDirectory(const FileView& file) {
  const DirectoryPlace place = findDirectory(file);
  const std::string bytes = bytesAt(file, place.offset, place.size);
  const ZipFields fields(file, bytes);
  std::vector<ZipEntry> entries;
  entries.reserve(place.entries);
  size_t at = 0;
  for (uint64_t i = 0; i < place.entries; ++i) {
    if (fields.at<uint32_t>(at) != kDirectoryMark) refuseZip(file, "its directory is cut off");
    const auto flags = fields.at<uint16_t>(at + 8);
    const auto method = fields.at<uint16_t>(at + 10);
    const auto nameSize = fields.at<uint16_t>(at + 28);
    const auto extraSize = fields.at<uint16_t>(at + 30);
    const auto commentSize = fields.at<uint16_t>(at + 32);
    const size_t end = at + kDirectoryHeaderSize + nameSize + extraSize + commentSize;
    if (end > bytes.size()) refuseZip(file, "its directory is cut off");
    ZipEntry entry;
    entry.name = bytes.substr(at + kDirectoryHeaderSize, nameSize);
    entry.crc = fields.at<uint32_t>(at + 16);
    entry.compressedSize = fields.at<uint32_t>(at + 20);
    entry.size = fields.at<uint32_t>(at + 24);
    entry.headerOffset = fields.at<uint32_t>(at + 42);
    entry.deflated = method == kDeflate;
    const bool printable = std::all_of(entry.name.begin(), entry.name.end(), [](char c) {
      return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F && c != '\\';
    });
    if (entry.name.empty() || entry.name.size() > kMaxNameSize || !printable) {
      refuseZip(file, "record " + std::to_string(i) + " has a name that no model's record has");
    }
    if ((flags & kEncrypted) != 0) refuseZip(file, "record \"" + entry.name + "\" is encrypted");
    if (method != 0 && method != kDeflate) {
      refuseZip(file, "record \"" + entry.name + "\" is compressed in a way that LibTorch does not read");
    }
    readZip64(file, std::string_view(bytes).substr(at + kDirectoryHeaderSize + nameSize, extraSize), entry);
    readLocalHeader(file, place.offset, entry);
    entries.push_back(std::move(entry));
    at = end;
  }
  if (at != bytes.size()) refuseZip(file, "its directory has bytes that belong to no record");
  requireApart(file, entries);
  return entries;
}

}  // namespace torchsearch

#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/archive/file_view.h"
#include "core/archive/zip_directory.h"

namespace torchsearch {

// Of torch.export's serialized programs: the version that is read, and written.
inline constexpr int64_t kSchemaMajor = 8;

// The zip archive of torch.export.save, checked as far as it can be without reading its programs: one folder,
// stored records within the file, no name that can be taken for another's, checksums, byte order.
class ExportedArchive {
 public:
  // Whether the file's records are those of an exported program, or of what else PyTorch writes as ".pt2".
  // Never throws for a file that is no archive, or a damaged one.
  static bool recognizes(const FileView& file);

  // ERR_EXPORTED_PROGRAM; ERR_UNSUPPORTED_EXPORT for a compiled package and for formats of PyTorch
  // before 2.9; ERR_MODEL_TOO_LARGE where the records have more than `maxBytes`
  ExportedArchive(std::shared_ptr<FileView> file, std::optional<uint64_t> maxBytes, bool verify);

  // Names of the programs, sorted.
  std::vector<std::string> models() const;
  // Bytes of a record; nothing where there is none.
  std::optional<uint64_t> sizeOf(const std::string& record) const;
  // A record's bytes. ERR_EXPORTED_PROGRAM where there is none.
  std::string text(const std::string& record) const;
  // What lies beside the programs, by name: texts of at most a mebibyte each.
  std::map<std::string, std::string> extraFiles() const;
  // For a record's bytes: its size, without memory until `fill`.
  at::Storage storage(const std::string& record) const;
  void fill(const std::string& record, at::Storage& storage) const;
  // A record as a file of its own.
  FileView window(const std::string& record) const;

 private:
  const ZipEntry& entry(const std::string& record) const;
  void checkNames();
  void checkSums() const;

  std::shared_ptr<FileView> file_;
  std::map<std::string, ZipEntry> entries_;  // by their names without the archive's own folder
};

}  // namespace torchsearch

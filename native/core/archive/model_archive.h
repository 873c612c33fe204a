#pragma once

#include <caffe2/serialize/inline_container.h>
#include <torch/script.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/archive/file_view.h"
#include "core/archive/zip_directory.h"

namespace torchsearch {

struct ArchiveLimits {
  // The most bytes that all records together may have, unpacked. Without a number, records that are packed
  // very tightly (more than 100 to 1, and over 64 MiB) are refused, since no model's are.
  std::optional<uint64_t> maxBytes;
  // Whether every record's checksum is compared. PyTorch compares none.
  bool verify = true;
  // Operators and classes that the file may name beside those that every file may (operator_policy.h).
  std::set<std::string> permitted;
};

// A TorchScript archive that was checked before anything in it was made or run.
class ModelArchive {
 public:
  // Opens the file and checks it: that it is an archive of a TorchScript module; that no record's name can be
  // taken for another's, with or without regard to case; checksums; the pickles against the records that they
  // name (pickle_check.h); the code (source_check.h). A file whose classes run `__setstate__` while they are
  // loaded is compiled, too, and held against the list of operators.
  //
  // ERR_FILE_NOT_FOUND, ERR_FILE_READ, ERR_NOT_TORCHSCRIPT, ERR_MODEL_TOO_LARGE,
  // ERR_UNSAFE_OPERATOR, ERR_UNKNOWN_CLASS
  ModelArchive(const std::string& path, const ArchiveLimits& limits);

  // What LibTorch reads the module from: the same open file.
  std::shared_ptr<FileView> file() const { return file_; }

  // Names of the files beside the model ("extra/NAME" in the archive), with their sizes in bytes.
  std::map<std::string, uint64_t> extraFiles() const;
  // One of them. ERR_NOT_TORCHSCRIPT where its bytes are damaged.
  std::string extraFile(const std::string& name) const;

 private:
  void checkNames();
  void checkSizes(const ArchiveLimits& limits) const;
  void checkSums() const;
  void checkPickles(const ArchiveLimits& limits) const;
  void checkCode(const ArchiveLimits& limits) const;
  // The text of every source, by its module's qualified name.
  std::map<std::string, std::string> sources() const;
  const ZipEntry* find(const std::string& name) const;
  std::string text(const ZipEntry& entry) const;

  std::shared_ptr<FileView> file_;
  std::vector<ZipEntry> entries_;         // names without the archive's own folder
  std::map<std::string, size_t> places_;  // in `entries_`, by name
  std::shared_ptr<caffe2::serialize::PyTorchStreamReader> reader_;
};

// Throws ERR_UNSAFE_OPERATOR where a module's code names what is neither allowed nor permitted.
void requireAllowed(const std::string& path, const torch::jit::CompilationUnit& unit,
                    const std::set<std::string>& permitted);

}  // namespace torchsearch

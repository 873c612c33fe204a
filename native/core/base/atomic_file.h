#pragma once

#include <cstddef>
#include <string>

namespace torchsearch {

// A file that appears whole or not at all: written beside its destination, flushed to disk, then renamed, so
// an earlier file survives every failure. Every failure is ERR_FILE_WRITE.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();  // removes what was written unless `commit` succeeded
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size);
  void commit();
  // Where what was written is until then.
  const std::string& temporary() const { return temporary_; }

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  std::string temporary_;
  int fd_ = -1;
};

}  // namespace torchsearch

#pragma once

#include <caffe2/serialize/read_adapter_interface.h>

#include <cstdint>
#include <string>

namespace torchsearch {

// A regular file that is open for reading. Everything that is checked, and everything that LibTorch then
// reads, comes through one of these, so that both see the same file even when its name is given to another
// one.
class FileView : public caffe2::serialize::ReadAdapterInterface {
 public:
  // ERR_FILE_NOT_FOUND; ERR_FILE_READ for a folder, a device or a pipe (opening it would wait for a writer),
  // and for what may not be read
  explicit FileView(const std::string& path);
  // A part of a file as a file of its own: an archive within an archive. ERR_FILE_READ beyond the whole's end
  FileView(const FileView& whole, uint64_t offset, size_t size);
  ~FileView() override;
  FileView(const FileView&) = delete;
  FileView& operator=(const FileView&) = delete;

  size_t size() const override { return size_; }
  // ERR_FILE_READ when there are fewer bytes than asked for.
  size_t read(uint64_t pos, void* buf, size_t n, const char* what = "") const override;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t begin_ = 0;
  size_t size_ = 0;
};

}  // namespace torchsearch

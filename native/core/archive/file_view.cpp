#include "core/archive/file_view.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "core/base/error.h"

namespace torchsearch {

FileView::FileView(const std::string& path) : path_(path) {
  // Without O_NONBLOCK, opening a pipe waits for a writer.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      throw Error("ERR_FILE_NOT_FOUND", "There is no file \"" + path + "\"; check the path.");
    }
    throw Error("ERR_FILE_READ",
                "Cannot read \"" + path + "\" (" + std::generic_category().message(errno) + ").");
  }
  struct stat status{};
  const bool known = ::fstat(fd_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(fd_);
    const bool folder = known && S_ISDIR(status.st_mode);
    throw Error("ERR_FILE_READ", "\"" + path + "\" is " +
                                     (folder ? "a folder" : "a device, a pipe or a socket") +
                                     ", not a file of a model; give the path of a file.");
  }
  size_ = static_cast<size_t>(status.st_size);
}

FileView::FileView(const FileView& whole, uint64_t offset, size_t size)
    : path_(whole.path_), begin_(whole.begin_ + offset), size_(size) {
  if (offset > whole.size_ || size > whole.size_ - offset)
    throw Error("ERR_FILE_READ", "Cannot read \"" + path_ + "\" (it ends before its content).");
  fd_ = ::fcntl(whole.fd_, F_DUPFD_CLOEXEC, 0);
  if (fd_ < 0) {
    throw Error("ERR_FILE_READ",
                "Cannot read \"" + path_ + "\" (" + std::generic_category().message(errno) + ").");
  }
}

FileView::~FileView() {
  ::close(fd_);
}

size_t FileView::read(uint64_t pos, void* buf, size_t n, const char* /*what*/) const {
  if (pos > size_ || n > size_ - pos)
    throw Error("ERR_FILE_READ", "Cannot read \"" + path_ + "\" (it ends before its content).");
  auto* to = static_cast<char*>(buf);
  size_t done = 0;
  while (done < n) {
    // Linux reads 2 GiB at a time at most.
    const size_t part = std::min(n - done, size_t{1} << 30);
    const ssize_t got = ::pread(fd_, to + done, part, static_cast<off_t>(begin_ + pos + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      const std::string why = got < 0 ? std::generic_category().message(errno) : "it ends before its content";
      throw Error("ERR_FILE_READ", "Cannot read \"" + path_ + "\" (" + why + ").");
    }
    done += static_cast<size_t>(got);
  }
  return done;
}

}  // namespace torchsearch

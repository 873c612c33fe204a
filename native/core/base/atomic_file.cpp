#include "core/base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "core/base/error.h"

namespace torchsearch {

namespace fs = std::filesystem;

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  static std::atomic<unsigned> counter{0};
  std::error_code ignored;
  // A symbolic link keeps pointing at the file it names.
  if (fs::is_symlink(path_, ignored)) {
    const fs::path target = fs::canonical(path_, ignored);
    if (!ignored) path_ = target.string();
  }
  if (fs::is_directory(path_, ignored)) {
    throw Error("ERR_FILE_WRITE", "Cannot write \"" + path_ + "\": it is a folder; give a file name.");
  }
  // A device such as /dev/null is not to be replaced by a file, which root could do.
  if (fs::exists(path_, ignored) && !fs::is_regular_file(path_, ignored)) {
    throw Error("ERR_FILE_WRITE",
                "Cannot write \"" + path_ + "\": it exists and is not a file; give another name.");
  }
  temporary_ = path_ + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  fd_ = ::open(temporary_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("create a file in its folder");
  struct stat existing{};
  if (::stat(path_.c_str(), &existing) == 0) (void)!::fchmod(fd_, existing.st_mode & 0777);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) {
    ::close(fd_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::write(const void* data, size_t size) {
  const char* from = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd_, from, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("write");
    }
    from += written;
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) fail("flush it to disk");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename the temporary file");
  ::close(fd_);
  fd_ = -1;
  // The rename itself is durable once its folder is flushed; some file systems refuse that, harmlessly.
  const std::string folder = fs::path(path_).parent_path().string();
  const int dir = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
  if (dir >= 0) {
    (void)::fsync(dir);
    ::close(dir);
  }
}

void AtomicFile::fail(const char* what) const {
  const std::string reason = std::generic_category().message(errno);
  throw Error("ERR_FILE_WRITE", "Cannot write \"" + path_ + "\": could not " + what + " (" + reason +
                                    "); check that the folder exists, is writable and has space.");
}

}  // namespace torchsearch

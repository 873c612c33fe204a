#include "core/base/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "core/base/error.h"

namespace torchsearch {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMark = ".tmp-";

// Where process numbers mean the same: the machine since it was started, and the container on it, as 8
// hexadecimal digits.
std::string placeOfProcess() {
  static const std::string place = [] {
    std::array<char, 256> host{};
    (void)::gethostname(host.data(), host.size() - 1);
    std::string text = host.data();
    std::string boot;
    std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
    std::error_code none;
    text += boot + fs::read_symlink("/proc/self/ns/pid", none).string();
    uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    std::array<char, 9> digits{};
    (void)std::snprintf(digits.data(), digits.size(), "%08x", static_cast<unsigned>(hash ^ (hash >> 32U)));
    return std::string(digits.data());
  }();
  return place;
}

// Whether a temporary file is that of a process of this place which has ended.
bool isAbandoned(std::string_view rest) {
  const std::string place = placeOfProcess() + "-";
  if (!rest.starts_with(place)) return false;
  rest.remove_prefix(place.size());
  pid_t process = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), process);
  if (error != std::errc() || process <= 0 || end == rest.data() + rest.size() || *end != '-') return false;
  return ::kill(process, 0) != 0 && errno == ESRCH;
}

// Removes what processes that were killed left of files that were to become this one.
void removeAbandoned(const std::string& path) {
  const fs::path whole(path);
  const std::string prefix = whole.filename().string() + std::string(kMark);
  std::error_code error;
  const fs::path folder = whole.parent_path().empty() ? fs::path(".") : whole.parent_path();
  for (fs::directory_iterator item(folder, error), end; !error && item != end; item.increment(error)) {
    const std::string name = item->path().filename().string();
    std::error_code ignored;
    if (name.starts_with(prefix) && isAbandoned(std::string_view(name).substr(prefix.size())))
      fs::remove(item->path(), ignored);
  }
}

}  // namespace

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
  removeAbandoned(path_);
  temporary_ = path_ + std::string(kMark) + placeOfProcess() + "-" + std::to_string(::getpid()) + "-" +
               std::to_string(counter++);
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

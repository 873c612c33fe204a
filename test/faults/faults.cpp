// A library for LD_PRELOAD that lets one call of a kind fail: the file system's, and allocations of native
// code.
//
// The environment says which, and may change while nothing runs: TORCHSEARCH_FAULT is "KIND N FOLDER HIT".
// The N-th call of KIND fails, once: open, read, write, fsync or rename of a file in FOLDER; storage (of a
// tensor), object (any other allocation of the addon of at least 4 KiB: where less can't be had, Node ends by
// itself), or small (an allocation of the addon of any size, on any thread but Node's main one). Then the
// file HIT is made. With the kind full, every write from the N-th on fails. A new value begins to count anew;
// without one nothing fails.
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace {

std::atomic<long> calls{0};
char current[4096];

const char* wantedFault() {
  const char* wanted = getenv("TORCHSEARCH_FAULT");
  return wanted == nullptr || *wanted == 0 ? nullptr : wanted;
}

// Whether this call is the one that fails.
bool fails(const char* kind, const char* path) {
  const char* wanted = wantedFault();
  if (wanted == nullptr) return false;
  if (strcmp(wanted, current) != 0) {
    strncpy(current, wanted, sizeof current - 1);
    calls = 0;
  }
  char what[32];
  char folder[2048];
  char hit[2048];
  long number = 0;
  if (sscanf(wanted, "%31s %ld %2047s %2047s", what, &number, folder, hit) != 4) return false;
  if (strcmp(what, kind) != 0) return false;
  if (path != nullptr && strncmp(path, folder, strlen(folder)) != 0) return false;
  const long call = ++calls;
  if (strcmp(kind, "full") == 0 ? call < number : call != number) return false;
  syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, hit, O_CREAT | O_WRONLY, 0600));
  return true;
}

bool failsOn(const char* kind, int fd) {
  if (wantedFault() == nullptr) return false;
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = 0;
  return fails(kind, path);
}

// A write fails by itself, or as the disk is full from now on.
bool failsOnAny(const char* kind, int fd) {
  return failsOn(kind, fd) || (strcmp(kind, "write") == 0 && failsOn("full", fd));
}

// Where a library lies in memory; looked up until it is there.
class Library {
 public:
  explicit Library(const char* name) : name_(name) {}

  bool holds(const void* address) {
    if (end_ == 0) dl_iterate_phdr(&Library::look, this);
    const auto at = reinterpret_cast<uintptr_t>(address);
    return at >= begin_ && at < end_;
  }
  // From where the library begins; of an address that it holds.
  uintptr_t offsetOf(const void* address) const { return reinterpret_cast<uintptr_t>(address) - begin_; }

 private:
  static int look(dl_phdr_info* info, size_t, void* self) {
    auto* library = static_cast<Library*>(self);
    if (strstr(info->dlpi_name, library->name_) == nullptr) return 0;
    library->begin_ = info->dlpi_addr;
    uintptr_t end = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      if (info->dlpi_phdr[i].p_type == PT_LOAD)
        end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    }
    library->end_ = end;
    return 1;
  }

  const char* name_;
  std::atomic<uintptr_t> begin_{0};
  std::atomic<uintptr_t> end_{0};
};

Library c10("libc10.so");
Library addon("torchsearch.node");

bool isMainThread() {
  static thread_local const bool answer = syscall(SYS_gettid) == getpid();
  return answer;
}

// PyTorch's header makes a dictionary in the move of a torch::jit::Module, which is noexcept: memory that is
// missing there ends the process, whatever we do. TORCHSEARCH_FAULT_SPARED="offset:size", hexadecimal, is
// that constructor.
bool isSpared(const void* caller) {
  static const auto spared = [] {
    std::pair<uintptr_t, uintptr_t> range{0, 0};
    if (const char* text = getenv("TORCHSEARCH_FAULT_SPARED")) {
      char* end = nullptr;
      range.first = strtoull(text, &end, 16);
      if (*end == ':') range.second = strtoull(end + 1, nullptr, 16);
    }
    return range;
  }();
  const uintptr_t at = addon.offsetOf(caller);
  return at >= spared.first && at < spared.first + spared.second;
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#define NEXT(name) next<__typeof__(name)>(#name)

#define OPEN(name)                                        \
  extern "C" int name(const char* path, int flags, ...) { \
    va_list list;                                         \
    va_start(list, flags);                                \
    const int mode = va_arg(list, int);                   \
    va_end(list);                                         \
    if (fails("open", path)) {                            \
      errno = EMFILE;                                     \
      return -1;                                          \
    }                                                     \
    static auto* const real = NEXT(name);                 \
    return real(path, flags, mode);                       \
  }
OPEN(open)
OPEN(open64)

#define ON_FD(kind, error, type, name, parameters, ...) \
  extern "C" type name parameters {                     \
    if (failsOnAny(kind, fd)) {                         \
      errno = error;                                    \
      return -1;                                        \
    }                                                   \
    static auto* const real = NEXT(name);               \
    return real(__VA_ARGS__);                           \
  }
ON_FD("read", EIO, ssize_t, read, (int fd, void* to, size_t size), fd, to, size)
ON_FD("read", EIO, ssize_t, pread, (int fd, void* to, size_t size, off_t at), fd, to, size, at)
ON_FD("read", EIO, ssize_t, pread64, (int fd, void* to, size_t size, off64_t at), fd, to, size, at)
ON_FD("read", EIO, ssize_t, preadv64, (int fd, const iovec* to, int count, off64_t at), fd, to, count, at)
ON_FD("write", ENOSPC, ssize_t, write, (int fd, const void* from, size_t size), fd, from, size)
ON_FD("write", ENOSPC, ssize_t, writev, (int fd, const iovec* from, int count), fd, from, count)
ON_FD("write", ENOSPC, ssize_t, pwrite64, (int fd, const void* from, size_t size, off64_t at), fd, from, size,
      at)
ON_FD("write", ENOSPC, ssize_t, pwritev64, (int fd, const iovec* from, int count, off64_t at), fd, from,
      count, at)
ON_FD("fsync", EIO, int, fsync, (int fd), fd)
ON_FD("fsync", EIO, int, fdatasync, (int fd), fd)

extern "C" int rename(const char* from, const char* to) noexcept {
  if (fails("rename", to)) {
    errno = EACCES;
    return -1;
  }
  static auto* const real = NEXT(rename);
  return real(from, to);
}

extern "C" int posix_memalign(void** to, size_t alignment, size_t size) noexcept {
  if (wantedFault() != nullptr && c10.holds(__builtin_return_address(0)) && fails("storage", nullptr))
    return ENOMEM;
  static auto* const real = NEXT(posix_memalign);
  return real(to, alignment, size);
}

void* operator new(size_t size) {
  if (wantedFault() != nullptr && addon.holds(__builtin_return_address(0)) &&
      ((size >= 4096 && fails("object", nullptr)) ||
       (!isMainThread() && !isSpared(__builtin_return_address(0)) && fails("small", nullptr))))
    throw std::bad_alloc();
  if (void* memory = malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  free(memory);
}

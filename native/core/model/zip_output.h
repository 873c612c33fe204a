#pragma once

#include <cstddef>
#include <exception>

#include "core/base/atomic_file.h"
#include "core/base/failure.h"

namespace torchsearch {

// Lets `produce` write an archive, by the function that it is given, into a file. LibTorch's zip writer ends
// the process when a write fails, as it tries to finish the archive in a destructor. So a failure is kept,
// the writer goes on into the void, and the failure is thrown afterwards. ERR_FILE_WRITE
template <typename Produce>
void writeArchiveInto(AtomicFile& file, Produce&& produce) {
  std::exception_ptr failed;
  withFailureCode("ERR_FILE_WRITE", [&] {
    produce([&](const void* data, size_t size) {
      if (failed) return size;
      try {
        file.write(data, size);
      } catch (...) {
        failed = std::current_exception();
      }
      return size;
    });
  });
  if (failed) std::rethrow_exception(failed);
}

}  // namespace torchsearch

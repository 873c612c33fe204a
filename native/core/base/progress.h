#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace torchsearch {

// How far a long operation is. Events may be dropped in favour of later ones on their way to the user.
struct Progress {
  int64_t done = 0;
  int64_t total = 0;    // 0: unknown
  std::string message;  // what is being done now; may be empty
};

using ProgressFn = std::function<void(const Progress&)>;  // may be empty

}  // namespace torchsearch

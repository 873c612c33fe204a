#pragma once

#include <cstdint>

namespace torchsearch {

// A whole number divided by zero, or the smallest one by -1, ends a process on x86 by SIGFPE, and some
// operators of LibTorch divide what a model says without looking. Once this is installed, such a division
// gives 0, as on processors that don't trap, and is counted: whoever runs a model compares the count, and
// reports an error instead of the result. Elsewhere it does nothing.
//
// The signal's handler acts only between `begin` and `end`; other faults go to the handler that was there
// before.
class DivisionGuard {
 public:
  // Any thread. Installs the handler when it is first used.
  DivisionGuard();
  ~DivisionGuard();
  DivisionGuard(const DivisionGuard&) = delete;
  DivisionGuard& operator=(const DivisionGuard&) = delete;

  // Whether there was such a division, on any thread, since this was made.
  bool divided() const;

 private:
  uint64_t before_;
};

}  // namespace torchsearch

#pragma once

#include <atomic>
#include <memory>

#include "core/base/error.h"

namespace torchsearch {

// Shared between the thread that computes and the one that may want it to stop. Copies refer to the same
// flag.
class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
  void cancel() const noexcept { flag_->store(true, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return flag_->load(std::memory_order_relaxed); }
  void throwIfCancelled() const {
    if (cancelled()) throw Error("ERR_ABORTED", "The operation was aborted by its AbortSignal.");
  }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

}  // namespace torchsearch

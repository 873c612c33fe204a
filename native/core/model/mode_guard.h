#pragma once

#include "core/base/cleanup.h"
#include "core/model/module.h"

namespace torchsearch {

// Puts a module in training or evaluation mode, and back when it goes. The caller holds the module's lock.
class ModeGuard {
 public:
  ModeGuard(Module& module, bool training)
      : module_(module), before_(module.training()), changed_(before_ != training) {
    if (changed_) module_.train(training);
  }
  ~ModeGuard() {
    // It may have been closed meanwhile.
    if (changed_) cleanUp([this] { module_.train(before_); });
  }
  ModeGuard(const ModeGuard&) = delete;
  ModeGuard& operator=(const ModeGuard&) = delete;

 private:
  Module& module_;
  bool before_;
  bool changed_;
};

}  // namespace torchsearch

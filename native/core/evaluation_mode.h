#pragma once

#include "core/module.h"

namespace torchsearch {

// Switches a module to evaluation mode while it lives: recording and running follow the evaluation branch,
// whatever mode the module is in.
class EvaluationMode {
 public:
  explicit EvaluationMode(Module& module) : module_(module), training_(module.training()) {
    if (training_) module_.train(false);
  }
  ~EvaluationMode() {
    if (training_) module_.train(true);
  }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  Module& module_;
  bool training_;
};

}  // namespace torchsearch

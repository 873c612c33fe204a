#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

namespace torchsearch {

// Gives back the random numbers that were drawn while it lived.
class GeneratorGuard {
 public:
  GeneratorGuard() : generator_(at::detail::getDefaultCPUGenerator()), state_(generator_.get_state()) {}
  ~GeneratorGuard() { generator_.set_state(state_); }
  GeneratorGuard(const GeneratorGuard&) = delete;
  GeneratorGuard& operator=(const GeneratorGuard&) = delete;

 private:
  at::Generator generator_;
  at::Tensor state_;
};

}  // namespace torchsearch

#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include <utility>
#include <vector>

#include "core/base/cleanup.h"

namespace torchsearch {

// Gives back the random numbers that were drawn while it lived: the CPU's, and those of the CUDA devices in
// use.
class GeneratorGuard {
 public:
  GeneratorGuard() {
    keep(at::detail::getDefaultCPUGenerator());
    if (!at::hasCUDA()) return;
    const auto& cuda = at::detail::getCUDAHooks();
    for (c10::DeviceIndex i = 0; i < cuda.deviceCount(); ++i) {
      // Asking for its generator would set up a device that nobody uses.
      if (cuda.hasPrimaryContext(i)) keep(at::globalContext().defaultGenerator(c10::Device(c10::kCUDA, i)));
    }
  }
  ~GeneratorGuard() {
    for (auto& item : kept_) cleanUp([&] { item.first.set_state(item.second); });
  }
  GeneratorGuard(const GeneratorGuard&) = delete;
  GeneratorGuard& operator=(const GeneratorGuard&) = delete;

 private:
  void keep(at::Generator generator) {
    const at::Tensor state = generator.get_state();
    kept_.emplace_back(std::move(generator), state);
  }

  std::vector<std::pair<at::Generator, at::Tensor>> kept_;
};

}  // namespace torchsearch

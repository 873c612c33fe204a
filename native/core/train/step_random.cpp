#include "core/train/step_random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <mutex>

#include "core/base/cleanup.h"

namespace torchsearch {

uint64_t derivedSeed(uint64_t seed, uint64_t number) {
  uint64_t z = seed + (number + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

StepRandom::StepRandom(uint64_t seed, c10::Device device) {
  const auto seeded = [&](at::Generator generator) {
    const std::lock_guard guard(generator.mutex());
    kept_.push_back({generator, generator.get_state()});
    generator.set_current_seed(seed);
  };
  seeded(at::detail::getDefaultCPUGenerator());
  if (!device.is_cpu()) seeded(at::globalContext().defaultGenerator(device));
}

StepRandom::~StepRandom() {
  for (Kept& kept : kept_) {
    cleanUp([&] {
      const std::lock_guard guard(kept.generator.mutex());
      kept.generator.set_state(kept.state);
    });
  }
}

}  // namespace torchsearch

#pragma once

#include <ATen/core/Generator.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

namespace torchsearch {

// A seed that belongs to a seed and a number beside it, such as that of a step: SplitMix64's finalizer.
uint64_t derivedSeed(uint64_t seed, uint64_t number);

// While it lives, random operators on the CPU and on `device` draw what `seed` says. Afterwards their
// generators are as they were.
class StepRandom {
 public:
  StepRandom(uint64_t seed, c10::Device device);
  ~StepRandom();
  StepRandom(const StepRandom&) = delete;
  StepRandom& operator=(const StepRandom&) = delete;

 private:
  struct Kept {
    at::Generator generator;
    at::Tensor state;
  };
  std::vector<Kept> kept_;
};

}  // namespace torchsearch

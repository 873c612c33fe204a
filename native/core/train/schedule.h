#pragma once

#include <cstdint>

namespace torchsearch {

// How the learning rate runs: up in a straight line over `warmup` steps, then down along half a cosine
// (Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts), or on at one height.
struct Schedule {
  enum class Kind : uint8_t { kConstant, kCosine };

  Kind kind = Kind::kCosine;
  double peak = 1e-3;
  double finalShare = 0;  // of the peak, that the cosine ends at
  int64_t warmup = 0;     // steps
  int64_t total = 0;      // steps, those of the warm-up among them; of a cosine

  // Of the step that is number `step`, counted from 0.
  double at(int64_t step) const;
};

}  // namespace torchsearch

#include "core/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace torchsearch {

double Schedule::at(int64_t step) const {
  if (step < warmup) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (kind == Kind::kConstant) return peak;
  const double length = static_cast<double>(std::max<int64_t>(total - warmup, 1));
  const double done = std::min(static_cast<double>(step - warmup) / length, 1.0);
  const double lowest = peak * finalShare;
  return lowest + (peak - lowest) * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace torchsearch

#pragma once

#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "core/graph/dependency.h"

namespace torchsearch {

// A dimension's size as an affine function of the widths: constant + the sum of count x width[group].
struct SizeForm {
  int64_t constant = 0;
  std::vector<std::pair<int32_t, int64_t>> factors;  // ascending by group; counts are positive

  bool varies() const { return !factors.empty(); }
  int64_t at(const std::vector<int64_t>& widths) const;
  friend bool operator==(const SizeForm& a, const SizeForm& b) = default;
  friend bool operator<(const SizeForm& a, const SizeForm& b) {
    return std::tie(a.constant, a.factors) < std::tie(b.constant, b.factors);
  }
};

SizeForm sizeForm(const Dependencies& dependencies, SlotId slot, int64_t dimension);

}  // namespace torchsearch

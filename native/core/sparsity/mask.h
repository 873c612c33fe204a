#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace torchsearch {

// Which weights of a layer stay: n of each m neighbours in a row, or, where m is 0, `keep` of all.
struct SparsityPlan {
  int64_t n = 0;
  int64_t m = 0;
  int64_t keep = 0;

  bool structured() const { return m > 0; }
};

// True for the `count` lowest of a flat tensor of scores; of equal scores the last ones count as lower.
at::Tensor lowest(const at::Tensor& scores, int64_t count);

// True for the `count` lowest along the last dimension; likewise.
at::Tensor lowestOfEach(const at::Tensor& scores, int64_t count);

// The mask (true: stays) of a matrix [groups, rows, columns] that keeps the largest magnitudes.
at::Tensor magnitudeMask(const at::Tensor& matrix, const SparsityPlan& plan);

// Whether each m neighbours of each row have exactly n true elements.
bool keepsExactly(const at::Tensor& mask, int64_t n, int64_t m);

}  // namespace torchsearch

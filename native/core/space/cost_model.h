#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/dependency.h"

namespace torchsearch {

// Costs of subnets in closed form: sums of products of dimensions, each an affine function of the widths.
class CostModel {
 public:
  CostModel() = default;
  explicit CostModel(const Dependencies& dependencies);

  // `widths` by group. "params", "macs", "flops", "size" (bytes). ERR_UNKNOWN_METRIC
  double cost(const std::vector<int64_t>& widths, const std::string& metric) const;

 private:
  struct Affine {
    int64_t constant = 0;
    std::vector<std::pair<int32_t, int64_t>> factors;  // group, indices a class has in the dimension
  };
  struct Term {
    double coefficient = 0;
    std::vector<Affine> dimensions;  // those that depend on a width
  };

  static Affine affine(const Dependencies& dependencies, SlotId slot, int64_t dimension);
  static void multiply(Term& term, const Dependencies& dependencies, SlotId slot, int64_t dimension);
  static double sum(const std::vector<Term>& terms, const std::vector<int64_t>& widths);

  std::vector<Term> params_;
  std::vector<Term> macs_;
  std::vector<Term> bytes_;
};

}  // namespace torchsearch

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"

namespace torchsearch {

// Costs of subnets in closed form: sums of products of dimensions, each an affine function of the widths.
// What belongs to residual blocks counts when these are kept.
class CostModel {
 public:
  CostModel() = default;
  // `blocks` are those of the dependencies' program; none when it is always whole.
  CostModel(const Dependencies& dependencies, const ResidualBlocks& blocks);

  // `widths` by group, `kept` by block.
  double params(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const {
    return sum(params_, widths, kept);
  }
  double macs(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const {
    return sum(macs_, widths, kept) + sumOfCheapest(widths, kept);
  }
  // Bytes.
  double size(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const {
    return sum(bytes_, widths, kept);
  }

 private:
  struct Affine {
    int64_t constant = 0;
    std::vector<std::pair<int32_t, int64_t>> factors;  // group, indices a class has in the dimension
    bool operator<(const Affine& other) const {
      return std::tie(constant, factors) < std::tie(other.constant, other.factors);
    }
  };
  using Dimensions = std::vector<int32_t>;  // in sizes_, ascending
  struct Term {
    double coefficient = 0;
    Dimensions dimensions;
  };
  struct Section {
    Condition condition;
    std::vector<Term> terms;
  };
  // Where an operator may go several ways, and goes the cheapest.
  struct Choice {
    Condition condition;
    std::vector<std::vector<Term>> ways;
  };
  struct Builder;

  double sum(const std::vector<Section>& sections, const std::vector<int64_t>& widths,
             const std::vector<bool>& kept) const;

  double sumOfCheapest(const std::vector<int64_t>& widths, const std::vector<bool>& kept) const;
  static double sumOfTerms(const std::vector<Term>& terms, const std::vector<double>& sizes);
  std::vector<double> sizesAt(const std::vector<int64_t>& widths) const;

  std::vector<Affine> sizes_;  // the different ones
  std::vector<Section> params_;
  std::vector<Section> macs_;
  std::vector<Choice> choices_;  // of macs
  std::vector<Section> bytes_;
};

}  // namespace torchsearch

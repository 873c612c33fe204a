#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace torchsearch::exported {

// A number that follows from sizes of the inputs: offset + scale * product of sums.
struct SizeFormula {
  // floor((symbol + shift) / divisor)
  struct Whole {
    size_t symbol = 0;
    int64_t shift = 0;
    int64_t divisor = 1;
    bool operator==(const Whole&) const = default;
    int64_t at(const std::vector<int64_t>& symbols) const;
  };
  // scale * whole, or scale * whole * whole
  struct Term {
    int64_t scale = 1;
    Whole whole;
    int64_t power = 1;
    bool operator==(const Term&) const = default;
    int64_t at(const std::vector<int64_t>& symbols) const;
  };
  struct Sum {
    int64_t offset = 0;
    std::vector<Term> terms;
    bool operator==(const Sum&) const = default;
    int64_t at(const std::vector<int64_t>& symbols) const;
  };
  int64_t offset = 0;
  int64_t scale = 1;
  std::vector<Sum> factors;  // none: a constant, the offset

  bool constant() const { return factors.empty(); }
  int64_t at(const std::vector<int64_t>& symbols) const;
  bool operator==(const SizeFormula&) const = default;
};

// A formula that gives each of `values` at its point, sums and lower powers before others; nothing where
// there is none of this form. The first point is the base: others differ from it in one symbol, or in
// several.
std::optional<SizeFormula> fitFormula(const std::vector<std::vector<int64_t>>& points,
                                      const std::vector<int64_t>& values);

}  // namespace torchsearch::exported

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace torchsearch::exported {

// A number that follows from sizes of the inputs: offset + scale * product of its factors, + …
struct SizeFormula {
  // floor((symbol + shift) / divisor)
  struct Factor {
    size_t symbol = 0;
    int64_t shift = 0;
    int64_t divisor = 1;
    bool operator==(const Factor&) const = default;
  };
  struct Term {
    int64_t scale = 1;
    std::vector<Factor> factors;
    bool operator==(const Term&) const = default;
  };
  int64_t offset = 0;
  std::vector<Term> terms;  // none: a constant

  bool constant() const { return terms.empty(); }
  int64_t at(const std::vector<int64_t>& symbols) const;
  bool operator==(const SizeFormula&) const = default;
};

// The simplest formula that gives each of `values` at its point; nothing where there is none of this form.
// The first point is the base: others differ from it in one symbol, or in several.
std::optional<SizeFormula> fitFormula(const std::vector<std::vector<int64_t>>& points,
                                      const std::vector<int64_t>& values);

}  // namespace torchsearch::exported

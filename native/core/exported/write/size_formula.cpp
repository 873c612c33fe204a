#include "core/exported/write/size_formula.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace torchsearch::exported {
namespace {

using Points = std::vector<std::vector<int64_t>>;
using Sum = SizeFormula::Sum;
using Term = SizeFormula::Term;
using Whole = SizeFormula::Whole;

// Strides are powers of two more often than anything else.
constexpr std::array<int64_t, 26> kDivisors{1, 2,  4,  8, 16, 32, 64, 3,  6,  12, 14, 28, 7,
                                            5, 10, 20, 9, 11, 13, 15, 24, 48, 40, 56, 18, 128};
// More symbols have too many ways to be parted into sums.
constexpr size_t kMostParted = 5;

int64_t floorDivide(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

// offset + scale * whole, through the first two values that differ.
std::optional<Sum> fitLine(const Whole& whole, const Points& points, const std::vector<int64_t>& values) {
  const int64_t first = whole.at(points[0]);
  Term term{.scale = 0, .whole = whole};
  for (size_t i = 1; i < points.size() && term.scale == 0; ++i) {
    const int64_t step = whole.at(points[i]) - first;
    if (step == 0) continue;
    if ((values[i] - values[0]) % step != 0) return std::nullopt;
    term.scale = (values[i] - values[0]) / step;
    if (term.scale == 0) return std::nullopt;
  }
  if (term.scale == 0) return std::nullopt;
  int64_t offset = values[0] - term.scale * first;
  // floor((s - 1) / 2) + 1 is floor((s + 1) / 2).
  if (whole.divisor > 1 && offset % term.scale == 0) {
    term.whole.shift += offset / term.scale * whole.divisor;
    offset = 0;
  }
  return Sum{offset, {term}};
}

// offset + b * whole + c * whole * whole, through the first three values that differ.
std::optional<Sum> fitSquare(const Whole& whole, const Points& points, const std::vector<int64_t>& values) {
  std::vector<std::pair<int64_t, int64_t>> seen;
  for (size_t i = 0; i < points.size() && seen.size() < 3; ++i) {
    const int64_t x = whole.at(points[i]);
    if (std::none_of(seen.begin(), seen.end(), [&](const auto& one) { return one.first == x; }))
      seen.emplace_back(x, values[i]);
  }
  // With three alone, any three values have one.
  if (seen.size() < 3 || points.size() < 4) return std::nullopt;
  const auto slope = [&](size_t i, size_t j) -> std::optional<int64_t> {
    const int64_t step = seen[j].first - seen[i].first;
    const int64_t rise = seen[j].second - seen[i].second;
    if (rise % step != 0) return std::nullopt;
    return rise / step;
  };
  const auto one = slope(0, 1);
  const auto two = slope(0, 2);
  if (!one || !two || (*two - *one) % (seen[2].first - seen[1].first) != 0) return std::nullopt;
  const int64_t square = (*two - *one) / (seen[2].first - seen[1].first);
  const int64_t line = *one - square * (seen[0].first + seen[1].first);
  if (square == 0) return std::nullopt;
  Sum sum{seen[0].second - line * seen[0].first - square * seen[0].first * seen[0].first, {}};
  if (line != 0) sum.terms.push_back({line, whole, 1});
  sum.terms.push_back({square, whole, 2});
  return sum;
}

std::optional<Sum> fitOne(size_t symbol, const Points& points, const std::vector<int64_t>& values) {
  const auto fits = [&](const std::optional<Sum>& sum) {
    if (!sum) return false;
    for (size_t i = 0; i < points.size(); ++i) {
      if (sum->at(points[i]) != values[i]) return false;
    }
    return true;
  };
  for (const auto& fit : {fitLine, fitSquare}) {
    for (const int64_t divisor : kDivisors) {
      for (int64_t shift = 0; shift < divisor; ++shift) {
        for (const int64_t signedShift : {shift, -shift}) {
          auto sum = fit({symbol, signedShift, divisor}, points, values);
          if (fits(sum)) return sum;
        }
      }
    }
  }
  return std::nullopt;
}

// Divides by what all numbers of a sum have in common, and gives that.
int64_t reduce(Sum& sum) {
  int64_t common = std::abs(sum.offset);
  for (const Term& term : sum.terms) common = std::gcd(common, term.scale);
  if (common <= 1) return 1;
  sum.offset /= common;
  for (Term& term : sum.terms) term.scale /= common;
  return common;
}

// All ways to part `count` things into groups: the group of each. All in one come first, each for itself
// second.
std::vector<std::vector<size_t>> partitions(size_t count) {
  std::vector<std::vector<size_t>> all;
  std::vector<size_t> groups(count, 0);
  std::vector<size_t> own(count);
  std::iota(own.begin(), own.end(), 0);
  all.push_back(groups);
  if (count > 1) all.push_back(own);
  if (count > kMostParted) return all;
  // The next one in the order of digits, none of which is larger than those before it by more than one.
  while (true) {
    size_t at = count;
    while (at > 1 && groups[at - 1] > *std::max_element(groups.begin(), groups.begin() + at - 1)) --at;
    if (at <= 1) return all;
    ++groups[at - 1];
    std::fill(groups.begin() + at, groups.end(), 0);
    if (groups != own) all.push_back(groups);
  }
}

class Fit {
 public:
  Fit(const Points& points, const std::vector<int64_t>& values) : points_(points), values_(values) {
    for (size_t symbol = 0; symbol < points[0].size(); ++symbol) {
      if (changesAlong(symbol)) symbols_.push_back(symbol);
    }
  }

  std::optional<SizeFormula> find() const {
    const bool same = std::all_of(values_.begin(), values_.end(), [&](int64_t v) { return v == values_[0]; });
    if (same) return SizeFormula{.offset = values_[0], .factors = {}};
    if (symbols_.empty()) return std::nullopt;
    for (const auto& groups : partitions(symbols_.size())) {
      if (auto formula = checked(product(groups, 0))) return formula;
    }
    const auto offset = productOffset();
    return offset ? checked(product({0, 1}, *offset)) : std::nullopt;
  }

 private:
  // Whether the other symbols of a point are the base's.
  bool isAlong(size_t symbol, const std::vector<int64_t>& point) const {
    for (size_t i = 0; i < point.size(); ++i) {
      if (i != symbol && point[i] != points_[0][i]) return false;
    }
    return true;
  }

  bool changesAlong(size_t symbol) const {
    for (size_t i = 1; i < points_.size(); ++i) {
      if (isAlong(symbol, points_[i]) && values_[i] != values_[0]) return true;
    }
    return false;
  }

  std::optional<Sum> sumAlong(size_t symbol, int64_t offset) const {
    Points points;
    std::vector<int64_t> values;
    for (size_t i = 0; i < points_.size(); ++i) {
      if (!isAlong(symbol, points_[i])) continue;
      points.push_back(points_[i]);
      values.push_back(values_[i] - offset);
    }
    return fitOne(symbol, points, values);
  }

  // A product of sums, one for each group of symbols. Along a symbol, the number is a multiple of its group's
  // sum.
  std::optional<SizeFormula> product(const std::vector<size_t>& groups, int64_t offset) const {
    const int64_t base = values_[0] - offset;
    std::vector<Sum> sums(*std::max_element(groups.begin(), groups.end()) + 1);
    for (Sum& sum : sums) sum.offset = base;
    for (size_t i = 0; i < symbols_.size(); ++i) {
      const auto own = sumAlong(symbols_[i], offset);
      if (!own) return std::nullopt;
      Sum& sum = sums[groups[i]];
      sum.offset += own->offset - base;
      sum.terms.insert(sum.terms.end(), own->terms.begin(), own->terms.end());
    }
    if (sums.size() == 1) {
      const int64_t common = reduce(sums[0]);
      return SizeFormula{offset, common, std::move(sums)};
    }
    int64_t whole = 1;
    for (Sum& sum : sums) {
      reduce(sum);
      whole *= sum.at(points_[0]);
    }
    if (whole == 0 || base % whole != 0) return std::nullopt;
    return SizeFormula{offset, base / whole, std::move(sums)};
  }

  // Of a product of two: (y1 - o) (y2 - o) = (y0 - o) (y12 - o).
  std::optional<int64_t> productOffset() const {
    if (symbols_.size() != 2) return std::nullopt;
    for (size_t both = 1; both < points_.size(); ++both) {
      const auto along = [&](size_t symbol) -> std::optional<int64_t> {
        for (size_t i = 1; i < points_.size(); ++i) {
          if (isAlong(symbol, points_[i]) && points_[i][symbol] == points_[both][symbol]) return values_[i];
        }
        return std::nullopt;
      };
      if (isAlong(symbols_[0], points_[both]) || isAlong(symbols_[1], points_[both])) continue;
      const auto one = along(symbols_[0]);
      const auto two = along(symbols_[1]);
      if (!one || !two) continue;
      const int64_t below = *one + *two - values_[0] - values_[both];
      const int64_t above = *one * *two - values_[0] * values_[both];
      if (below != 0 && above % below == 0) return above / below;
    }
    return std::nullopt;
  }

  std::optional<SizeFormula> checked(std::optional<SizeFormula> formula) const {
    if (!formula) return std::nullopt;
    for (size_t i = 0; i < points_.size(); ++i) {
      if (formula->at(points_[i]) != values_[i]) return std::nullopt;
    }
    return formula;
  }

  const Points& points_;
  const std::vector<int64_t>& values_;
  std::vector<size_t> symbols_;  // that it follows
};

}  // namespace

int64_t SizeFormula::Whole::at(const std::vector<int64_t>& symbols) const {
  return floorDivide(symbols[symbol] + shift, divisor);
}

int64_t SizeFormula::Term::at(const std::vector<int64_t>& symbols) const {
  const int64_t value = whole.at(symbols);
  return scale * (power == 1 ? value : value * value);
}

int64_t SizeFormula::Sum::at(const std::vector<int64_t>& symbols) const {
  int64_t value = offset;
  for (const Term& term : terms) value += term.at(symbols);
  return value;
}

int64_t SizeFormula::at(const std::vector<int64_t>& symbols) const {
  if (factors.empty()) return offset;
  int64_t product = scale;
  for (const Sum& factor : factors) product *= factor.at(symbols);
  return offset + product;
}

std::optional<SizeFormula> fitFormula(const std::vector<std::vector<int64_t>>& points,
                                      const std::vector<int64_t>& values) {
  return Fit(points, values).find();
}

}  // namespace torchsearch::exported

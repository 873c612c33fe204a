#include "core/exported/write/size_formula.h"

#include <algorithm>
#include <array>
#include <utility>

namespace torchsearch::exported {
namespace {

using Points = std::vector<std::vector<int64_t>>;
using Factor = SizeFormula::Factor;

// Strides are powers of two more often than anything else.
constexpr std::array<int64_t, 26> kDivisors{1, 2,  4,  8, 16, 32, 64, 3,  6,  12, 14, 28, 7,
                                            5, 10, 20, 9, 11, 13, 15, 24, 48, 40, 56, 18, 128};

int64_t floorDivide(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

int64_t valueOf(const Factor& factor, const std::vector<int64_t>& point) {
  return floorDivide(point[factor.symbol] + factor.shift, factor.divisor);
}

// offset + scale * factor, of one symbol.
struct Line {
  int64_t offset = 0;
  int64_t scale = 1;
  Factor factor;
};

std::optional<Line> fitLine(size_t symbol, const Points& points, const std::vector<int64_t>& values,
                            int64_t divisor, int64_t shift) {
  Line line{.factor = {.symbol = symbol, .shift = shift, .divisor = divisor}};
  const int64_t first = valueOf(line.factor, points[0]);
  bool known = false;
  for (size_t i = 1; i < points.size() && !known; ++i) {
    const int64_t step = valueOf(line.factor, points[i]) - first;
    if (step == 0) continue;
    if ((values[i] - values[0]) % step != 0) return std::nullopt;
    line.scale = (values[i] - values[0]) / step;
    known = true;
  }
  if (!known || line.scale == 0) return std::nullopt;
  line.offset = values[0] - line.scale * first;
  for (size_t i = 0; i < points.size(); ++i) {
    if (line.offset + line.scale * valueOf(line.factor, points[i]) != values[i]) return std::nullopt;
  }
  // floor((s - 1) / 2) + 1 is floor((s + 1) / 2).
  if (line.offset % line.scale == 0) {
    line.factor.shift += line.offset / line.scale * divisor;
    line.offset = 0;
  }
  return line;
}

std::optional<Line> fitLine(size_t symbol, const Points& points, const std::vector<int64_t>& values) {
  for (const int64_t divisor : kDivisors) {
    for (int64_t shift = 0; shift < divisor; ++shift) {
      for (const int64_t signedShift : {shift, -shift}) {
        if (auto line = fitLine(symbol, points, values, divisor, signedShift)) return line;
      }
    }
  }
  return std::nullopt;
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
    if (same) return SizeFormula{.offset = values_[0], .terms = {}};
    if (symbols_.empty()) return std::nullopt;
    if (auto sum = checked(additive())) return sum;
    if (auto plain = checked(product(0))) return plain;
    const auto offset = productOffset();
    return offset ? checked(product(*offset)) : std::nullopt;
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

  std::optional<Line> lineAlong(size_t symbol, int64_t offset) const {
    Points points;
    std::vector<int64_t> values;
    for (size_t i = 0; i < points_.size(); ++i) {
      if (!isAlong(symbol, points_[i])) continue;
      points.push_back(points_[i]);
      values.push_back(values_[i] - offset);
    }
    return fitLine(symbol, points, values);
  }

  std::optional<SizeFormula> additive() const {
    SizeFormula formula{.offset = values_[0], .terms = {}};
    for (const size_t symbol : symbols_) {
      const auto line = lineAlong(symbol, 0);
      if (!line) return std::nullopt;
      // With several symbols, what one adds has no offset of its own.
      formula.terms.push_back({line->scale, {line->factor}});
      formula.offset -= line->scale * valueOf(line->factor, points_[0]);
    }
    for (auto& term : formula.terms) {
      // 2 * (s + 1) + 0 and 2 * s + 2 are the same; the one without an offset was found.
      if (symbols_.size() == 1 || term.factors[0].divisor > 1) continue;
      formula.offset += term.scale * term.factors[0].shift;
      term.factors[0].shift = 0;
    }
    return formula;
  }

  std::optional<SizeFormula> product(int64_t offset) const {
    SizeFormula::Term term;
    int64_t whole = 1;
    for (const size_t symbol : symbols_) {
      const auto line = lineAlong(symbol, offset);
      if (!line || line->offset != 0) return std::nullopt;
      term.factors.push_back(line->factor);
      whole *= valueOf(line->factor, points_[0]);
    }
    if (whole == 0 || (values_[0] - offset) % whole != 0) return std::nullopt;
    term.scale = (values_[0] - offset) / whole;
    return SizeFormula{.offset = offset, .terms = {std::move(term)}};
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

int64_t SizeFormula::at(const std::vector<int64_t>& symbols) const {
  int64_t sum = offset;
  for (const Term& term : terms) {
    int64_t product = term.scale;
    for (const Factor& factor : term.factors) product *= valueOf(factor, symbols);
    sum += product;
  }
  return sum;
}

std::optional<SizeFormula> fitFormula(const std::vector<std::vector<int64_t>>& points,
                                      const std::vector<int64_t>& values) {
  return Fit(points, values).find();
}

}  // namespace torchsearch::exported

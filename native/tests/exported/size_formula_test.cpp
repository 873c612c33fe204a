#include "core/exported/write/size_formula.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/doctest.h"

namespace torchsearch::testing {

namespace {

using exported::fitFormula;
using Point = std::vector<int64_t>;
using Number = std::function<int64_t(const Point&)>;

// Points as a writer sees them: the base, others along each symbol, and others of all together.
std::vector<Point> pointsAround(const Point& base) {
  std::vector<Point> points{base};
  const auto moved = [](int64_t n, int k) { return k == 0 ? n + 1 : k == 1 ? n + 3 : 2 * n + 1; };
  for (size_t s = 0; s < base.size(); ++s) {
    for (int k = 0; k < 3; ++k) {
      Point point = base;
      point[s] = moved(base[s], k);
      points.push_back(point);
    }
  }
  for (int k = 0; base.size() > 1 && k < 3; ++k) {
    Point point = base;
    for (int64_t& size : point) size = moved(size, k);
    points.push_back(point);
  }
  return points;
}

std::optional<exported::SizeFormula> fitted(const Point& base, const Number& number) {
  const std::vector<Point> points = pointsAround(base);
  std::vector<int64_t> values;
  for (const Point& point : points) values.push_back(number(point));
  return fitFormula(points, values);
}

void requireEverywhere(const std::string& name, const Point& base, const Number& number) {
  CAPTURE(name);
  const auto formula = fitted(base, number);
  REQUIRE(formula);
  for (const int64_t more : {-2, 0, 2, 4, 5, 9, 16, 31}) {
    for (const int64_t other : {0, 1, 6, 10}) {
      Point point = base;
      for (size_t s = 0; s < point.size(); ++s)
        point[s] += s == 0 ? more : more + static_cast<int64_t>(s) * other;
      CAPTURE(point);
      CHECK(formula->at(point) == number(point));
    }
  }
}

}  // namespace

TEST_CASE("formulas of one size hold at sizes that were not seen") {
  requireEverywhere("constant", {4}, [](const Point&) { return 7; });
  requireEverywhere("itself", {4}, [](const Point& p) { return p[0]; });
  requireEverywhere("multiple", {4}, [](const Point& p) { return 12 * p[0]; });
  requireEverywhere("line", {4}, [](const Point& p) { return 12 * p[0] - 5; });
  requireEverywhere("square", {5}, [](const Point& p) { return p[0] * p[0]; });
  requireEverywhere("heads of T x T", {16}, [](const Point& p) { return 4 * p[0] * p[0]; });
  requireEverywhere("quadratic", {6}, [](const Point& p) { return 3 * p[0] * p[0] - 2 * p[0] + 11; });
  requireEverywhere("a convolution of stride 2", {16}, [](const Point& p) { return (p[0] + 2 - 3) / 2 + 1; });
  requireEverywhere("two of them", {16}, [](const Point& p) { return ((p[0] - 1) / 2 + 1 - 1) / 2 + 1; });
  requireEverywhere("enlarged again, padded", {16},
                    [](const Point& p) { return 3 * (2 * ((p[0] - 1) / 2 + 1) + 2); });
}

TEST_CASE("formulas of several sizes hold where they change together") {
  requireEverywhere("sum", {3, 7}, [](const Point& p) { return 2 * p[0] + 5 * p[1] + 1; });
  requireEverywhere("product", {3, 7}, [](const Point& p) { return 6 * p[0] * p[1]; });
  requireEverywhere("with an offset", {3, 7}, [](const Point& p) { return 6 * p[0] * p[1] - 4; });
  requireEverywhere("batch x T x T", {2, 9}, [](const Point& p) { return p[0] * p[1] * p[1]; });
  requireEverywhere("batch x T x (T + 1)", {2, 9},
                    [](const Point& p) { return 4 * p[0] * p[1] * (p[1] + 1); });
  requireEverywhere("strides of a padded image", {2, 16, 20}, [](const Point& p) {
    return 3 * (2 * ((p[1] - 1) / 2 + 1)) * (2 * ((p[2] - 1) / 2 + 1) + 2) * p[0];
  });
  requireEverywhere("batch x (T + S)", {2, 5, 8}, [](const Point& p) { return 32 * p[0] * (p[1] + p[2]); });
  requireEverywhere("(T + S) x (T + S)", {5, 8}, [](const Point& p) { return p[0] + 3 * p[1] - 9; });
  requireEverywhere("a negative end", {3, 7}, [](const Point& p) { return -(p[0] + p[1]); });
}

TEST_CASE("what is no such formula is none, rather than a wrong one") {
  CHECK(!fitted({4}, [](const Point& p) { return p[0] * p[0] * p[0]; }));
  CHECK(!fitted({8}, [](const Point& p) { return int64_t{1} << p[0]; }));
  CHECK(!fitted({3, 7}, [](const Point& p) { return p[0] * p[1] / 3 + p[0]; }));
  CHECK(!fitted({3, 7}, [](const Point& p) { return std::max(p[0], p[1] - 3); }));
}

}  // namespace torchsearch::testing

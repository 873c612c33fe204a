#include "core/cost/interpolation.h"

#include <vector>

#include "tests/support/doctest.h"

namespace torchsearch::testing {

TEST_CASE("a piecewise linear function goes through its points and reproduces straight lines") {
  const auto line = [](double x) { return 3 * x - 2; };
  const std::vector<double> xs = {1, 4, 5, 9};
  std::vector<double> ys;
  for (const double x : xs) ys.push_back(line(x));
  const PiecewiseLinear function(xs, ys);
  for (double x = -2; x < 12; x += 0.25) CHECK(function.at(x) == doctest::Approx(line(x)));
  const PiecewiseLinear bent({0, 10, 20}, {0, 5, 50});
  CHECK(bent.at(10) == 5);
  CHECK(bent.at(15) == doctest::Approx(27.5));
  CHECK(PiecewiseLinear({7}, {2}).at(100) == 2);
}

TEST_CASE("piecewise linear functions add up, wherever their points are") {
  PiecewiseLinear sum({0, 10}, {0, 10});
  const PiecewiseLinear bent({0, 4, 10}, {1, 0, 3});
  sum.add(bent);
  for (double x = 0; x <= 10; x += 0.5) CHECK(sum.at(x) == doctest::Approx(x + bent.at(x)));
}

TEST_CASE("a grid goes through its points and reproduces bilinear functions") {
  const auto bilinear = [](double x, double y) { return 2 + 3 * x - y + 0.5 * x * y; };
  const std::vector<double> xs = {8, 24, 64};
  const std::vector<double> ys = {4, 12, 13, 40};
  std::vector<double> values;
  for (const double x : xs) {
    for (const double y : ys) values.push_back(bilinear(x, y));
  }
  BilinearGrid grid(xs, ys, values);
  for (double x = 0; x < 80; x += 3) {
    for (double y = 0; y < 50; y += 3) CHECK(grid.at(x, y) == doctest::Approx(bilinear(x, y)));
  }
  grid.add(grid);
  CHECK(grid.at(30, 30) == doctest::Approx(2 * bilinear(30, 30)));
  const BilinearGrid row({5}, {1, 2}, {10, 20});
  CHECK(row.at(99, 1.5) == doctest::Approx(15));
}

TEST_CASE("isotonic regression pools what falls, and leaves the rest") {
  CHECK(neverFalling({1, 2, 3}) == std::vector<double>{1, 2, 3});
  CHECK(neverFalling({3, 1, 2, 5, 4}) == std::vector<double>{2, 2, 2, 4.5, 4.5});
  CHECK(neverFalling({}).empty());
}

}  // namespace torchsearch::testing

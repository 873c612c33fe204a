#include "core/cost/interpolation.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace torchsearch {

namespace {

struct Place {
  size_t below = 0;
  double share = 0;  // of the way to the next knot
};

// Axes are short, so that walking beats bisecting.
Place placeOn(const std::vector<double>& knots, double x) {
  if (knots.size() < 2) return {};
  size_t below = 0;
  while (below + 2 < knots.size() && x >= knots[below + 1]) ++below;
  return {below, (x - knots[below]) / (knots[below + 1] - knots[below])};
}

void requireAscending(const std::vector<double>& knots) {
  TORCH_CHECK(!knots.empty(), "interpolation needs points");
  for (size_t i = 1; i < knots.size(); ++i) TORCH_CHECK(knots[i] > knots[i - 1], "points must ascend");
}

}  // namespace

PiecewiseLinear::PiecewiseLinear(std::vector<double> xs, std::vector<double> ys)
    : xs_(std::move(xs)), ys_(std::move(ys)) {
  requireAscending(xs_);
  TORCH_CHECK(xs_.size() == ys_.size(), "one value for each point");
}

double PiecewiseLinear::at(double x) const {
  const Place place = placeOn(xs_, x);
  if (xs_.size() == 1) return ys_[0];
  return ys_[place.below] * (1 - place.share) + ys_[place.below + 1] * place.share;
}

void PiecewiseLinear::add(const PiecewiseLinear& other) {
  std::vector<double> xs;
  std::set_union(xs_.begin(), xs_.end(), other.xs_.begin(), other.xs_.end(), std::back_inserter(xs));
  std::vector<double> ys;
  ys.reserve(xs.size());
  for (const double x : xs) ys.push_back(at(x) + other.at(x));
  xs_ = std::move(xs);
  ys_ = std::move(ys);
}

BilinearGrid::BilinearGrid(std::vector<double> xs, std::vector<double> ys, std::vector<double> values)
    : xs_(std::move(xs)), ys_(std::move(ys)), values_(std::move(values)) {
  requireAscending(xs_);
  requireAscending(ys_);
  TORCH_CHECK(values_.size() == xs_.size() * ys_.size(), "one value for each point of the grid");
}

double BilinearGrid::at(double x, double y) const {
  const Place row = placeOn(xs_, x);
  const Place column = placeOn(ys_, y);
  const size_t right = ys_.size() > 1 ? 1 : 0;
  const auto along = [&](size_t line) {
    const double* left = values_.data() + line * ys_.size() + column.below;
    return left[0] * (1 - column.share) + left[right] * column.share;
  };
  if (xs_.size() == 1) return along(0);
  return along(row.below) * (1 - row.share) + along(row.below + 1) * row.share;
}

void BilinearGrid::add(const BilinearGrid& other) {
  TORCH_CHECK(xs_ == other.xs_ && ys_ == other.ys_, "only grids over the same axes can be added");
  for (size_t i = 0; i < values_.size(); ++i) values_[i] += other.values_[i];
}

std::vector<double> neverFalling(const std::vector<double>& values) {
  struct Pool {
    double sum;
    size_t count;
    double mean() const { return sum / static_cast<double>(count); }
  };
  std::vector<Pool> pools;
  for (const double value : values) {
    pools.push_back({value, 1});
    while (pools.size() > 1 && pools[pools.size() - 2].mean() > pools.back().mean()) {
      const Pool last = pools.back();
      pools.pop_back();
      pools.back().sum += last.sum;
      pools.back().count += last.count;
    }
  }
  std::vector<double> result;
  for (const Pool& pool : pools) result.insert(result.end(), pool.count, pool.mean());
  return result;
}

}  // namespace torchsearch

#pragma once

#include <cstddef>
#include <vector>

namespace torchsearch {

// A function through given points, linear in between and beyond (as the outermost piece goes on).
class PiecewiseLinear {
 public:
  // `xs` ascend strictly; at least one.
  PiecewiseLinear(std::vector<double> xs, std::vector<double> ys);
  double at(double x) const;
  // The sum of both functions.
  void add(const PiecewiseLinear& other);

  const std::vector<double>& xs() const { return xs_; }

 private:
  std::vector<double> xs_;
  std::vector<double> ys_;
};

// A function through the points of a grid, bilinear in each cell and beyond the outermost ones.
class BilinearGrid {
 public:
  // Both axes ascend strictly; values row by row, a row for each x.
  BilinearGrid(std::vector<double> xs, std::vector<double> ys, std::vector<double> values);
  double at(double x, double y) const;
  // Adds a function over the same axes.
  void add(const BilinearGrid& other);

  const std::vector<double>& xs() const { return xs_; }
  const std::vector<double>& ys() const { return ys_; }

 private:
  std::vector<double> xs_;
  std::vector<double> ys_;
  std::vector<double> values_;
};

// The closest sequence (least squares) that never falls: isotonic regression by pooling adjacent violators
// (Ayer et al., 1955).
std::vector<double> neverFalling(const std::vector<double>& values);

}  // namespace torchsearch

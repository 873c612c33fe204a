#include "core/cost/latency_model.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string>

#include "core/base/error.h"

namespace torchsearch {

namespace {

using Axis = std::vector<int64_t>;

constexpr size_t kLookBack = 16;

std::vector<double> knots(const Axis& axis) {
  return {axis.begin(), axis.end()};
}

bool spans(const Axis& axis, int64_t from, int64_t to) {
  return !axis.empty() && axis.front() <= from && axis.back() >= to;
}

// The largest full grid among scattered points that reaches over the range.
std::optional<BilinearGrid> gridOf(const LatencyTable::Points& points, const Axis& from, const Axis& to) {
  std::map<int64_t, Axis> rows;
  for (const auto& [sizes, ms] : points) rows[sizes[0]].push_back(sizes[1]);
  std::set<Axis> candidates;
  for (const auto& [x, row] : rows) {
    candidates.insert(row);
    for (const auto& [other, otherRow] : rows) {
      Axis common;
      std::set_intersection(row.begin(), row.end(), otherRow.begin(), otherRow.end(),
                            std::back_inserter(common));
      candidates.insert(std::move(common));
    }
  }
  Axis xs;
  Axis ys;
  for (const auto& candidate : candidates) {
    if (!spans(candidate, from[1], to[1])) continue;
    Axis with;
    for (const auto& [x, row] : rows) {
      if (std::includes(row.begin(), row.end(), candidate.begin(), candidate.end())) with.push_back(x);
    }
    if (!spans(with, from[0], to[0]) || with.size() * candidate.size() <= xs.size() * ys.size()) continue;
    xs = std::move(with);
    ys = candidate;
  }
  if (xs.empty()) return std::nullopt;
  std::vector<double> values;
  for (const int64_t x : xs) {
    for (const int64_t y : ys) values.push_back(points.at({x, y}));
  }
  return BilinearGrid(knots(xs), knots(ys), std::move(values));
}

}  // namespace

LatencyModel::LatencyModel(const std::vector<OperatorShape>& shapes, const std::vector<int64_t>& smallest,
                           const std::vector<int64_t>& full, const LatencyTable& table) {
  size_t missing = 0;
  std::string first;
  for (const auto& shape : shapes) {
    const auto& points = table.pointsOf(shape.key);
    if (!points.empty() && add(shape, shape.sizesAt(smallest), shape.sizesAt(full), points)) continue;
    if (missing++ == 0) first = shape.key;
  }
  if (missing > 0) {
    throw Error("ERR_LATENCY_TABLE_INCOMPLETE",
                "The latency table lacks measurements of " + std::to_string(missing) + " of the space's " +
                    std::to_string(shapes.size()) + " operators, such as " + first +
                    ". Complete it with space.measureLatency({ table }) on the machine it is of.");
  }
}

bool LatencyModel::add(const OperatorShape& shape, const std::vector<int64_t>& from,
                       const std::vector<int64_t>& to, const LatencyTable::Points& points) {
  if (shape.variables.empty()) {
    constant_ += points.begin()->second;
    return true;
  }
  if (shape.variables.size() == 1) {
    std::vector<double> xs;
    std::vector<double> ys;
    for (const auto& [sizes, ms] : points) {
      xs.push_back(static_cast<double>(sizes[0]));
      ys.push_back(ms);
    }
    if (xs.front() > static_cast<double>(from[0]) || xs.back() < static_cast<double>(to[0])) return false;
    addLine(shape.variables[0], PiecewiseLinear(std::move(xs), std::move(ys)));
    return true;
  }
  if (shape.variables.size() == 2) {
    if (auto grid = gridOf(points, from, to)) {
      addGrid(shape.variables[0], shape.variables[1], std::move(*grid));
      return true;
    }
  }
  return addByWork(shape, from, to, points);
}

bool LatencyModel::addByWork(const OperatorShape& shape, const std::vector<int64_t>& from,
                             const std::vector<int64_t>& to, const LatencyTable::Points& points) {
  std::map<double, std::pair<double, double>> sums;  // work: milliseconds and how many
  for (const auto& [sizes, ms] : points) {
    auto& [sum, count] = sums[shape.workAt(sizes)];
    sum += ms;
    count += 1;
  }
  if (sums.begin()->first > shape.workAt(from) || sums.rbegin()->first < shape.workAt(to)) return false;
  std::vector<double> work;
  std::vector<double> ms;
  for (const auto& [amount, sum] : sums) {
    work.push_back(amount);
    ms.push_back(sum.first / sum.second);
  }
  byWork_.push_back({workOf(shape), PiecewiseLinear(std::move(work), neverFalling(ms))});
  return true;
}

size_t LatencyModel::variableOf(const SizeForm& form) {
  const auto [found, added] = variableIndex_.try_emplace(form, variables_.size());
  if (!added) return found->second;
  Variable variable{-1, form.factors};
  const size_t first = variables_.size() > kLookBack ? variables_.size() - kLookBack : 0;
  for (size_t other = first; form.factors.size() > 2 && other < variables_.size(); ++other) {
    const auto& part = forms_[other].factors;
    if (form.factors.size() - part.size() >= variable.factors.size() && variable.base >= 0) continue;
    if (!std::includes(form.factors.begin(), form.factors.end(), part.begin(), part.end())) continue;
    variable.base = static_cast<int32_t>(other);
    variable.factors.clear();
    std::set_difference(form.factors.begin(), form.factors.end(), part.begin(), part.end(),
                        std::back_inserter(variable.factors));
  }
  variables_.push_back(std::move(variable));
  forms_.push_back(form);
  return found->second;
}

LatencyModel::Work LatencyModel::workOf(const OperatorShape& shape) {
  Work work;
  std::map<size_t, double> linear;
  for (const auto& product : shape.work) {
    Work::Product varying{product.coefficient, {}};
    for (const auto& size : product.sizes) {
      if (size.variable < 0) {
        varying.coefficient *= static_cast<double>(size.constant);
      } else {
        varying.factors.push_back({variableOf(shape.variables[size.variable]),
                                   static_cast<double>(size.count), static_cast<double>(size.constant)});
      }
    }
    if (varying.factors.empty()) {
      work.constant += varying.coefficient;
    } else if (varying.factors.size() == 1) {
      work.constant += varying.coefficient * varying.factors[0].constant;
      linear[varying.factors[0].variable] += varying.coefficient * varying.factors[0].count;
    } else {
      work.products.push_back(std::move(varying));
    }
  }
  work.linear.assign(linear.begin(), linear.end());
  return work;
}

double LatencyModel::Work::at(const std::vector<double>& sizes) const {
  double total = constant;
  for (const auto& [variable, count] : linear) total += count * sizes[variable];
  for (const auto& product : products) {
    double value = product.coefficient;
    for (const auto& factor : product.factors) {
      value *= factor.constant + factor.count * sizes[factor.variable];
    }
    total += value;
  }
  return total;
}

void LatencyModel::addLine(const SizeForm& variable, PiecewiseLinear function) {
  const auto [found, added] = lines_.try_emplace(variableOf(variable), function);
  if (!added) found->second.add(function);
}

void LatencyModel::addGrid(const SizeForm& x, const SizeForm& y, BilinearGrid function) {
  Grid grid{variableOf(x), variableOf(y), std::move(function)};
  for (auto& other : grids_) {
    if (other.x == grid.x && other.y == grid.y && other.function.xs() == grid.function.xs() &&
        other.function.ys() == grid.function.ys()) {
      other.function.add(grid.function);
      return;
    }
  }
  grids_.push_back(std::move(grid));
}

double LatencyModel::at(const std::vector<int64_t>& widths) const {
  std::vector<double> sizes;
  sizes.reserve(variables_.size());
  for (const auto& variable : variables_) {
    double size = variable.base < 0 ? 0 : sizes[variable.base];
    for (const auto& [group, count] : variable.factors) size += static_cast<double>(count * widths[group]);
    sizes.push_back(size);
  }
  double total = constant_;
  for (const auto& [variable, function] : lines_) total += function.at(sizes[variable]);
  for (const auto& grid : grids_) total += grid.function.at(sizes[grid.x], sizes[grid.y]);
  for (const auto& [work, function] : byWork_) total += function.at(work.at(sizes));
  return total;
}

}  // namespace torchsearch

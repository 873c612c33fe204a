#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "core/cost/interpolation.h"
#include "core/cost/operator_shape.h"
#include "core/profile/latency_table.h"

namespace torchsearch {

// The latency of any subnet: the sum over its operators of what a table says, interpolated between its
// points.
// - An operator with one varying size is piecewise linear in it.
// - One with two is bilinear on a grid.
// - One with more, or whose points make no grid (both sizes hang on one hyperparameter), is piecewise linear
//   in its work (multiply-adds and elements read), and never falls with it.
class LatencyModel {
 public:
  // Widths by group of the smallest and of the full subnet. ERR_LATENCY_TABLE_INCOMPLETE where the table does
  // not reach over all the sizes that an operator can have.
  LatencyModel(const std::vector<OperatorShape>& shapes, const std::vector<int64_t>& smallest,
               const std::vector<int64_t>& full, const LatencyTable& table);

  // Milliseconds.
  double at(const std::vector<int64_t>& widths) const;

 private:
  // A form: an earlier variable, if any, and what comes to it. Concatenations give sums that grow by one
  // group each.
  struct Variable {
    int32_t base = -1;
    std::vector<std::pair<int32_t, int64_t>> factors;
  };
  struct Grid {
    size_t x, y;  // in variables_
    BilinearGrid function;
  };
  // An amount of work, as a polynomial of variables.
  struct Work {
    struct Factor {
      size_t variable;
      double count, constant;
    };
    struct Product {
      double coefficient;
      std::vector<Factor> factors;
    };
    double constant = 0;
    std::vector<std::pair<size_t, double>> linear;  // variable, coefficient
    std::vector<Product> products;                  // of two factors or more

    double at(const std::vector<double>& sizes) const;
  };
  struct ByWork {
    Work work;
    PiecewiseLinear function;
  };

  bool add(const OperatorShape& shape, const std::vector<int64_t>& from, const std::vector<int64_t>& to,
           const LatencyTable::Points& points);
  bool addByWork(const OperatorShape& shape, const std::vector<int64_t>& from, const std::vector<int64_t>& to,
                 const LatencyTable::Points& points);
  void addLine(const SizeForm& variable, PiecewiseLinear function);
  void addGrid(const SizeForm& x, const SizeForm& y, BilinearGrid function);
  size_t variableOf(const SizeForm& form);
  Work workOf(const OperatorShape& shape);

  double constant_ = 0;
  std::vector<Variable> variables_;  // each once, since many operators share them
  std::vector<SizeForm> forms_;      // of each variable
  std::map<SizeForm, size_t> variableIndex_;
  std::map<size_t, PiecewiseLinear> lines_;  // by variable: sums over all operators
  std::vector<Grid> grids_;                  // by axes: likewise
  std::vector<ByWork> byWork_;
};

}  // namespace torchsearch

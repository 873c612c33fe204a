#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/layers/weight_matrix.h"

namespace torchsearch {

// The mean of x x^T over all inputs x that a layer's weight multiplies: half the Hessian of the squared error
// of the layer's outputs, the same for every row. Accumulated in float64.
class InputProducts {
 public:
  // Adds what one operator, which takes `weight` as argument, reads. ERR_ACTIVATION_NAN names `layer`.
  void add(const WeightMatrix& layout, const at::Tensor& weight, const c10::FunctionSchema& schema,
           const std::vector<c10::IValue>& arguments, const std::string& layer);

  int64_t inputs() const { return inputs_; }
  // [groups, columns, columns]; zeros when nothing was added.
  at::Tensor mean(const WeightMatrix& layout, const at::Tensor& weight) const;
  // The mean of x: [groups, columns]; undefined when nothing was added.
  at::Tensor meanInput() const;

  // Bytes that the sums of a layer take.
  static int64_t bytesOf(const WeightMatrix& layout, const at::Tensor& weight);

 private:
  void addMatrix(const at::Tensor& matrix);  // [groups, inputs, columns], float64

  at::Tensor sum_;
  at::Tensor inputSum_;  // [groups, columns]
  int64_t inputs_ = 0;
};

}  // namespace torchsearch

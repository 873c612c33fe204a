#pragma once

#include <ATen/core/Tensor.h>

namespace torchsearch {

// Weights for some of a layer's inputs, which stand for the weights of all.
struct LeastSquares {
  at::Tensor weights;  // [rows, kept]
  at::Tensor shift;    // [rows], to be added to the bias; undefined without means
  double before = 0;   // share of the outputs, in squares, that the kept weights alone miss
  double after = 0;    // that these miss
};

// The weights v for the inputs x_K that stay which give the least mean of |W x - v x_K|^2, plus `damping`
// times the mean square of a kept input times |v - W_K|^2: so they are never worse than the weights W_K that
// the layer has for these inputs, and are these where the data say nothing. The closed form of the
// reconstruction of He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017
// (section 3.1), as a ridge regression around W_K.
//
// `matrix` [rows, columns]; `products` [columns, columns], the mean of x x^T; `kept`, ascending columns; all
// in float64. With `means` [columns], the inputs' means, the layer's bias is free: the variation about the
// means is fitted, and `shift` makes the outputs' means equal.
LeastSquares leastSquares(const at::Tensor& matrix, const at::Tensor& products, const at::Tensor& means,
                          const at::Tensor& kept, double damping);

}  // namespace torchsearch

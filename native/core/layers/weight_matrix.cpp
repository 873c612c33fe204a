#include "core/layers/weight_matrix.h"

#include <ATen/ATen.h>

#include <vector>

namespace torchsearch {

namespace {

// The dimensions of a convolution's weight with the channels last.
std::vector<int64_t> channelsLast(int64_t rank) {
  std::vector<int64_t> order{0};
  for (int64_t d = 2; d < rank; ++d) order.push_back(d);
  order.push_back(1);
  return order;
}

}  // namespace

at::Tensor WeightMatrix::matrixOf(const at::Tensor& weight) const {
  at::Tensor matrix = weight.detach();
  if (matrix.scalar_type() != at::kBool) matrix = matrix.to(at::kDouble);
  if (kind == Kind::kProduct) return matrix.t().unsqueeze(0).contiguous();
  if (kind == Kind::kLinear) return matrix.unsqueeze(0).contiguous();
  const int64_t rows = weight.size(0) / groups;
  return matrix.permute(channelsLast(weight.dim())).reshape({groups, rows, -1}).contiguous();
}

at::Tensor WeightMatrix::tensorOf(const at::Tensor& matrix, const at::Tensor& like) const {
  if (kind == Kind::kProduct) return matrix[0].t().contiguous();
  if (kind == Kind::kLinear) return matrix[0].contiguous();
  const auto order = channelsLast(like.dim());
  std::vector<int64_t> sizes;
  std::vector<int64_t> back(order.size());
  for (size_t d = 0; d < order.size(); ++d) {
    sizes.push_back(like.size(order[d]));
    back[order[d]] = static_cast<int64_t>(d);
  }
  return matrix.reshape(sizes).permute(back).contiguous();
}

int64_t WeightMatrix::runLength(const at::Tensor& weight) const {
  return kind == Kind::kProduct ? weight.size(0) : weight.size(1);
}

}  // namespace torchsearch

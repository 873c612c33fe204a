#include "core/sparsity/mask.h"

#include <ATen/ATen.h>

namespace torchsearch {

at::Tensor lowest(const at::Tensor& scores, int64_t count) {
  if (count <= 0) return at::zeros_like(scores, scores.options().dtype(at::kBool));
  if (count >= scores.numel()) return at::ones_like(scores, scores.options().dtype(at::kBool));
  const at::Tensor threshold = std::get<0>(scores.kthvalue(count));
  const at::Tensor below = scores < threshold;
  const at::Tensor equal = scores == threshold;
  const int64_t needed = count - below.sum().item<int64_t>();
  const int64_t spared = equal.sum().item<int64_t>() - needed;
  return below.logical_or_(equal.logical_and(equal.cumsum(0) > spared));
}

at::Tensor lowestOfEach(const at::Tensor& scores, int64_t count) {
  const int64_t size = scores.size(-1);
  const at::Tensor order = scores.argsort(/*stable=*/true, /*dim=*/-1, /*descending=*/true);
  at::Tensor mask = at::zeros_like(scores, scores.options().dtype(at::kBool));
  return mask.scatter_(-1, order.narrow(-1, size - count, count), true);
}

at::Tensor magnitudeMask(const at::Tensor& matrix, const SparsityPlan& plan) {
  const at::Tensor scores = matrix.abs();
  if (plan.structured()) {
    const at::Tensor grouped = scores.reshape({-1, plan.m});
    return lowestOfEach(grouped, plan.m - plan.n).logical_not_().reshape(matrix.sizes());
  }
  return lowest(scores.flatten(), matrix.numel() - plan.keep).logical_not_().reshape(matrix.sizes());
}

bool keepsExactly(const at::Tensor& mask, int64_t n, int64_t m) {
  return mask.reshape({-1, m}).sum(-1).eq(n).all().item<bool>();
}

}  // namespace torchsearch

#include "core/exported/write/stored_values.h"

#include "core/exported/scalar_types.h"

namespace torchsearch::exported {

Json tensorMeta(at::ScalarType type, Json sizes, Json strides, bool requiresGrad) {
  return {{"dtype", numberOf(type)},       {"sizes", std::move(sizes)},
          {"requires_grad", requiresGrad}, {"device", {{"type", "cpu"}, {"index", nullptr}}},
          {"strides", std::move(strides)}, {"storage_offset", {{"as_int", 0}}},
          {"layout", kStridedLayout}};
}

Json tensorMeta(const at::Tensor& tensor, bool requiresGrad) {
  Json sizes = Json::array();
  Json strides = Json::array();
  for (const int64_t size : tensor.sizes()) sizes.push_back({{"as_int", size}});
  int64_t stride = 1;
  for (int64_t d = tensor.dim(); d > 0; --d) {
    strides.insert(strides.begin(), Json{{"as_int", stride}});
    stride *= std::max<int64_t>(tensor.size(d - 1), 1);
  }
  return tensorMeta(tensor.scalar_type(), std::move(sizes), std::move(strides), requiresGrad);
}

}  // namespace torchsearch::exported

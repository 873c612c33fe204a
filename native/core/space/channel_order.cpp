#include "core/space/channel_order.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/forward/executor.h"

namespace torchsearch {

namespace {

using Orders = std::vector<std::vector<int64_t>>;  // by group: the old position at each new one

// Sum over the class's indices of the norm of the slice at each index.
void addImportance(const Dependencies& dependencies, const at::Tensor& tensor, SlotId slot, int64_t dimension,
                   double order, std::vector<std::vector<double>>& importance) {
  const Labels& labels = dependencies.labels(slot, dimension);
  const at::Tensor norms = tensor.detach()
                               .to(at::kCPU, at::kFloat)
                               .movedim(dimension, 0)
                               .reshape({tensor.size(dimension), -1})
                               .norm(order, {1})
                               .contiguous();
  const double mean = norms.mean().item<double>();
  if (!(mean > 0)) return;
  const float* values = norms.const_data_ptr<float>();
  for (size_t i = 0; i < labels.size(); ++i) {
    const ClassPlace place = dependencies.placeOf(labels[i]);
    if (place.group != kNoGroup) importance[place.group][place.position] += values[i] / mean;
  }
}

// The old index at each new one: the k-th index of a class takes the place of the k-th index of the class
// whose position it takes.
std::vector<int64_t> permutation(const Dependencies& dependencies, const Labels& labels,
                                 const Orders& orders) {
  std::vector<std::vector<std::vector<int64_t>>> indices(orders.size());
  for (size_t g = 0; g < orders.size(); ++g) indices[g].resize(orders[g].size());
  for (size_t i = 0; i < labels.size(); ++i) {
    const ClassPlace place = dependencies.placeOf(labels[i]);
    if (place.group != kNoGroup) indices[place.group][place.position].push_back(static_cast<int64_t>(i));
  }
  std::vector<int64_t> result(labels.size());
  std::iota(result.begin(), result.end(), 0);
  for (size_t g = 0; g < orders.size(); ++g) {
    for (size_t p = 0; p < orders[g].size(); ++p) {
      const auto& target = indices[g][p];
      const auto& source = indices[g][orders[g][p]];
      for (size_t k = 0; k < target.size(); ++k) result[target[k]] = source[k];
    }
  }
  return result;
}

}  // namespace

void orderChannels(const Dependencies& dependencies, const torch::jit::Module& module,
                   const std::string& importance) {
  if (importance != "l1" && importance != "l2") {
    throw Error("ERR_CONFIG_VALUE", "importance must be \"l1\" or \"l2\", not \"" + importance + "\".");
  }
  const at::NoGradGuard noGrad;
  const Program& program = dependencies.program();
  const auto tensors = bindModule(program, module).values;
  std::vector<std::vector<double>> sums(dependencies.groupCount());
  for (size_t g = 0; g < sums.size(); ++g)
    sums[g].assign(dependencies.groupSize(static_cast<int32_t>(g)), 0.0);
  for (size_t i = 0; i < program.slots.size(); ++i) {
    const auto& slot = program.slots[i];
    // Biases and batch-norm vectors say little of a channel's weight in the network.
    if (slot.kind != Slot::Kind::kParameter || slot.sizes.size() < 2 || !at::isFloatingType(slot.dtype))
      continue;
    for (size_t d = 0; d < slot.sizes.size(); ++d) {
      const auto dimension = static_cast<int64_t>(d);
      if (dependencies.labels(static_cast<SlotId>(i), dimension).empty()) continue;
      addImportance(dependencies, tensors[i], static_cast<SlotId>(i), dimension,
                    importance == "l1" ? 1.0 : 2.0, sums);
    }
  }
  Orders orders(sums.size());
  for (size_t g = 0; g < sums.size(); ++g) {
    orders[g].resize(sums[g].size());
    std::iota(orders[g].begin(), orders[g].end(), 0);
    std::stable_sort(orders[g].begin(), orders[g].end(),
                     [&](int64_t a, int64_t b) { return sums[g][a] > sums[g][b]; });
  }
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (!program.slots[i].isStored()) continue;
    for (size_t d = 0; d < program.slots[i].sizes.size(); ++d) {
      const Labels& labels = dependencies.labels(static_cast<SlotId>(i), static_cast<int64_t>(d));
      if (labels.empty()) continue;
      const auto order = permutation(dependencies, labels, orders);
      if (std::is_sorted(order.begin(), order.end())) continue;
      const at::Tensor index = at::tensor(order, at::kLong).to(tensors[i].device());
      tensors[i].detach().copy_(tensors[i].detach().index_select(static_cast<int64_t>(d), index));
    }
  }
}

}  // namespace torchsearch

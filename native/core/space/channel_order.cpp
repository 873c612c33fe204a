#include "core/space/channel_order.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "core/hash/sha256.h"

namespace torchsearch {

namespace {

constexpr int64_t kElementsAtOnce = int64_t{1} << 18;

// A piece at a time along the longest other dimension, whose indices are permuted alike.
void permuteInPlace(const at::Tensor& tensor, int64_t dimension, const std::vector<int64_t>& order) {
  const at::Tensor index = at::tensor(order, at::kLong).to(tensor.device());
  int64_t along = -1;
  for (int64_t d = 0; d < tensor.dim(); ++d) {
    if (d != dimension && (along < 0 || tensor.size(d) > tensor.size(along))) along = d;
  }
  if (along < 0 || tensor.numel() <= kElementsAtOnce) {
    tensor.copy_(tensor.index_select(dimension, index));
    return;
  }
  const int64_t length = tensor.size(along);
  const int64_t across = tensor.numel() / length;
  const int64_t step = std::max<int64_t>(1, kElementsAtOnce / across);
  const at::Tensor scratch = at::empty({step * across}, tensor.options());
  for (int64_t begin = 0; begin < length; begin += step) {
    const at::Tensor piece = tensor.narrow(along, begin, std::min(step, length - begin));
    at::Tensor permuted = scratch.narrow(0, 0, piece.numel()).view(piece.sizes());
    at::index_select_out(permuted, piece, dimension, index);
    piece.copy_(permuted);
  }
}

}  // namespace

ChannelOrder descendingOrder(const ChannelScores& scores) {
  ChannelOrder order(scores.size());
  for (size_t g = 0; g < scores.size(); ++g) {
    order[g].resize(scores[g].size());
    std::iota(order[g].begin(), order[g].end(), 0);
    std::stable_sort(order[g].begin(), order[g].end(),
                     [&](int64_t a, int64_t b) { return scores[g][a] > scores[g][b]; });
  }
  return order;
}

// The k-th index of a class takes the place of the k-th index of the class
// whose position it takes.
std::vector<int64_t> permutationOf(const Dependencies& dependencies, const Labels& labels,
                                   const ChannelOrder& order) {
  std::vector<std::vector<std::vector<int64_t>>> indices(order.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    const ClassPlace place = dependencies.placeOf(labels[i]);
    if (place.group == kNoGroup) continue;
    auto& group = indices[place.group];
    if (group.empty()) group.resize(order[place.group].size());
    group[place.position].push_back(static_cast<int64_t>(i));
  }
  std::vector<int64_t> result(labels.size());
  std::iota(result.begin(), result.end(), 0);
  for (size_t g = 0; g < order.size(); ++g) {
    for (size_t p = 0; p < indices[g].size(); ++p) {
      const auto& target = indices[g][p];
      const auto& source = indices[g][order[g][p]];
      for (size_t k = 0; k < target.size(); ++k) result[target[k]] = source[k];
    }
  }
  return result;
}

void permuteChannels(const Dependencies& dependencies, const std::vector<at::Tensor>& tensors,
                     const ChannelOrder& order) {
  const Program& program = dependencies.program();
  for (size_t i = 0; i < program.slots.size(); ++i) {
    if (program.slots[i].isStored()) permuteChannels(dependencies, static_cast<SlotId>(i), tensors[i], order);
  }
}

void permuteChannels(const Dependencies& dependencies, SlotId slot, const at::Tensor& tensor,
                     const ChannelOrder& order) {
  const at::NoGradGuard noGrad;
  const auto rank = static_cast<int64_t>(dependencies.program().slots[slot].sizes.size());
  for (int64_t d = 0; d < rank; ++d) {
    const Labels& labels = dependencies.labels(slot, d);
    if (labels.empty()) continue;
    const auto indices = permutationOf(dependencies, labels, order);
    if (std::is_sorted(indices.begin(), indices.end())) continue;
    permuteInPlace(tensor.detach(), d, indices);
  }
}

ChannelOrder composed(const ChannelOrder& first, const ChannelOrder& second) {
  if (first.empty()) return second;
  ChannelOrder order = second;
  for (size_t g = 0; g < order.size(); ++g) {
    for (auto& position : order[g]) position = first[g][position];
  }
  return order;
}

ChannelOrder inverted(const ChannelOrder& order) {
  ChannelOrder inverse = order;
  for (size_t g = 0; g < order.size(); ++g) {
    for (size_t p = 0; p < order[g].size(); ++p) inverse[g][order[g][p]] = static_cast<int64_t>(p);
  }
  return inverse;
}

std::string digestOf(const ChannelOrder& order) {
  Sha256 hash;
  for (const auto& group : order) {
    for (const int64_t position : group) hash.update(std::to_string(position) + ",");
    hash.update(";");
  }
  return hash.hex();
}

}  // namespace torchsearch

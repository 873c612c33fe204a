#include "core/train/batch_shards.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/dist/sum_tree.h"

namespace torchsearch {

namespace {

using Change = std::function<at::Tensor(const at::Tensor&)>;

// The value with every tensor in it changed.
c10::IValue changed(const c10::IValue& value, const Change& change) {
  if (value.isTensor()) return change(value.toTensor());
  if (value.isTuple()) {
    std::vector<c10::IValue> items;
    for (const auto& item : value.toTupleRef().elements()) items.push_back(changed(item, change));
    return c10::ivalue::Tuple::create(std::move(items));
  }
  if (value.isList()) {
    const auto list = value.toList();
    c10::impl::GenericList copy(list.elementType());
    for (const c10::IValue& item : list) copy.push_back(changed(item, change));
    return copy;
  }
  if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    c10::impl::GenericDict copy(dict.keyType(), dict.valueType());
    for (const auto& item : dict) copy.insert(item.key(), changed(item.value(), change));
    return copy;
  }
  return value;
}

TrainBatch changed(const TrainBatch& batch, const Change& change) {
  TrainBatch copy;
  for (const auto& value : batch.inputs.args) copy.inputs.args.push_back(changed(value, change));
  // In the order of the names, which is the same on every rank.
  const std::map<std::string, c10::IValue> kwargs(batch.inputs.kwargs.begin(), batch.inputs.kwargs.end());
  for (const auto& [name, value] : kwargs) copy.inputs.kwargs.emplace(name, changed(value, change));
  if (batch.target.defined()) copy.target = change(batch.target);
  return copy;
}

}  // namespace

BatchShards::BatchShards(const TrainBatch& batch, int64_t shards) : batch_(batch), shards_(shards) {
  int64_t samples = -1;
  changed(batch, [&](const at::Tensor& tensor) {
    const int64_t own = tensor.dim() > 0 ? tensor.size(0) : 0;
    if (samples < 0) samples = own;
    if (own != samples || own == 0) {
      throw Error("ERR_BATCH", "A batch with tensors of " + std::to_string(samples) + " and of " +
                                   std::to_string(own) +
                                   " samples can't be cut into shards: give tensors whose first dimension "
                                   "counts the samples, or set dataShards to 1.");
    }
    return tensor;
  });
  if (samples < 1) throw Error("ERR_BATCH", "A batch without tensors can't be cut: set dataShards to 1.");
  samples_ = samples;
  // A batch norm needs two samples, and a shard of one would fail where the whole batch doesn't.
  shards_ = std::min(shards_, std::max<int64_t>(samples_ / 2, 1));
}

double BatchShards::weight(int64_t shard) const {
  if (shard >= shards_) return 0;
  return static_cast<double>(shardsOf(shard, shards_, samples_).size()) / static_cast<double>(samples_);
}

TrainBatch BatchShards::shard(int64_t shard) const {
  const ShardRange range = shardsOf(shard, shards_, samples_);
  return changed(batch_,
                 [&](const at::Tensor& tensor) { return tensor.narrow(0, range.first, range.size()); });
}

Digest BatchShards::digest() const {
  Digest digest;
  changed(batch_, [&](const at::Tensor& tensor) {
    digest = followedBy(digest, digestOf(tensor.to(at::kCPU).contiguous()));
    return tensor;
  });
  return digest;
}

}  // namespace torchsearch

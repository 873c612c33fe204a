#include "core/evaluation/dataset.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "core/base/error.h"

namespace torchsearch {
namespace {

// Fisher-Yates with a generator and a range reduction of fixed definition: std::shuffle and the distributions
// may differ between standard libraries.
at::Tensor permutation(int64_t size, uint64_t seed) {
  at::Tensor order = at::empty({size}, at::kLong);
  int64_t* values = order.mutable_data_ptr<int64_t>();
  std::iota(values, values + size, int64_t{0});
  std::mt19937_64 random(seed);
  for (int64_t i = size - 1; i > 0; --i) {
    const auto range = static_cast<uint64_t>(i) + 1;
    const uint64_t limit = UINT64_MAX - UINT64_MAX % range;
    uint64_t draw = random();
    while (draw >= limit) draw = random();
    std::swap(values[i], values[draw % range]);
  }
  return order;
}

bool canBePinned(const at::Tensor& tensor) {
  return tensor.is_cpu() && tensor.layout() == at::kStrided && !tensor.is_quantized();
}

at::Tensor pinnedLike(const at::Tensor& tensor, int64_t samples) {
  std::vector<int64_t> sizes = tensor.sizes().vec();
  sizes[0] = samples;
  return at::empty(sizes, tensor.options().pinned_memory(true));
}

}  // namespace

Dataset::Dataset(std::vector<at::Tensor> tensors, const DatasetOptions& options)
    : batchSize_(options.batchSize) {
  if (tensors.empty()) throw Error("ERR_DATASET", "A dataset needs at least one tensor.");
  if (batchSize_ < 1) throw Error("ERR_DATASET", "batchSize must be at least 1.");
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].dim() == 0) {
      throw Error("ERR_DATASET", "Tensor " + std::to_string(i) +
                                     " of the dataset is a scalar; its first dimension must "
                                     "count samples.");
    }
    if (tensors[i].size(0) != tensors[0].size(0)) {
      throw Error("ERR_DATASET",
                  "The tensors of a dataset must have an equal first dimension, but tensor 0 has " +
                      std::to_string(tensors[0].size(0)) + " samples and tensor " + std::to_string(i) +
                      " has " + std::to_string(tensors[i].size(0)) + ".");
    }
  }
  const int64_t total = tensors[0].size(0);
  batches_ = options.dropLast ? total / batchSize_ : (total + batchSize_ - 1) / batchSize_;
  samples_ = std::min(total, batches_ * batchSize_);
  width_ = static_cast<int64_t>(tensors.size());
  at::Tensor order = options.shuffleSeed ? permutation(total, *options.shuffleSeed) : at::Tensor();
  content_ = std::make_shared<const Content>(Content{std::move(tensors), std::move(order)});
}

std::shared_ptr<const Dataset::Content> Dataset::content() const {
  const std::lock_guard guard(mutex_);
  if (!content_) throw Error("ERR_CLOSED", "This dataset is closed; make it again to use it.");
  return content_;
}

int64_t Dataset::samplesIn(int64_t batches) const {
  return std::min(samples_, batches * batchSize_);
}

std::vector<at::Tensor> Dataset::batch(int64_t index) const {
  return batch(index, {});
}

at::Tensor Dataset::randomOrder(uint64_t seed) const {
  return permutation(content()->tensors[0].size(0), seed);
}

std::vector<at::Tensor> Dataset::batch(int64_t index, const at::Tensor& order) const {
  std::vector<at::Tensor> out;
  out.reserve(static_cast<size_t>(width_));
  for (int64_t position = 0; position < width_; ++position) {
    out.push_back(part(index, position, order, /*pinned=*/false));
  }
  return out;
}

int64_t Dataset::batchSamples(int64_t index) const {
  const int64_t size = index < 0 ? 0 : std::min(batchSize_, samples_ - index * batchSize_);
  if (size <= 0) throw Error("ERR_DATASET", "The dataset has no batch " + std::to_string(index) + ".");
  return size;
}

at::Tensor Dataset::tensor(int64_t position) const {
  return content()->tensors[static_cast<size_t>(position)];
}

at::Tensor Dataset::part(int64_t index, int64_t position, const at::Tensor& order, bool pinned) const {
  const auto content = this->content();
  const int64_t size = batchSamples(index);
  const int64_t start = index * batchSize_;
  const at::Tensor& whole = content->tensors[static_cast<size_t>(position)];
  const at::Tensor& samples = order.defined() ? order : content->order;
  const bool pins = pinned && canBePinned(whole);
  if (!samples.defined()) {
    const at::Tensor view = whole.narrow(0, start, size);
    return pins && !view.is_pinned() ? pinnedLike(whole, size).copy_(view) : view;
  }
  const at::Tensor rows = samples.narrow(0, start, size).to(whole.device());
  if (!pins) return whole.index_select(0, rows);
  at::Tensor out = pinnedLike(whole, size);
  return at::index_select_out(out, whole, 0, rows);
}

void Dataset::close() {
  std::shared_ptr<const Content> released;
  const std::lock_guard guard(mutex_);
  released.swap(content_);
}

bool Dataset::closed() const {
  const std::lock_guard guard(mutex_);
  return !content_;
}

}  // namespace torchsearch

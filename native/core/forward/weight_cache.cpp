#include "core/forward/weight_cache.h"

#include <algorithm>
#include <utility>

#include "core/device/exposed_memory.h"

namespace torchsearch {
namespace {

uint64_t versionOf(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0 : static_cast<uint64_t>(tensor._version());
}

int64_t bytesOf(const at::Tensor& tensor) {
  // Reordered weights are opaque, and about as large as they were.
  return tensor.defined() ? tensor.numel() * static_cast<int64_t>(tensor.element_size()) : 0;
}

}  // namespace

WeightSources::WeightSources(const std::vector<at::Tensor>& tensors) {
  sources_.reserve(tensors.size());
  for (const auto& tensor : tensors) {
    if (tensor.defined()) sources_.push_back({tensor, versionOf(tensor), exposedDigest(tensor)});
  }
}

bool WeightSources::matches(const WeightSources& now) const {
  if (sources_.size() != now.sources_.size()) return false;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const auto& [tensor, version, digest] = sources_[i];
    const auto& other = now.sources_[i];
    if (version != other.version || digest != other.digest ||
        tensor.const_data_ptr() != other.tensor.const_data_ptr() || tensor.sizes() != other.tensor.sizes() ||
        tensor.strides() != other.tensor.strides() || tensor.dtype() != other.tensor.dtype()) {
      return false;
    }
  }
  return true;
}

bool WeightSources::isCurrent() const {
  return std::all_of(sources_.begin(), sources_.end(), [](const Source& source) {
    return versionOf(source.tensor) == source.version && exposedDigest(source.tensor) == source.digest;
  });
}

const WeightCache::Weights* WeightCache::find(const std::string& key, const WeightSources& sources) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->key != key || !entry->sources.matches(sources)) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return &entries_.front().weights;
  }
  return nullptr;
}

const WeightCache::Weights& WeightCache::add(const std::string& key, WeightSources sources, Weights weights) {
  const int64_t bytes = bytesOf(weights.weight) + bytesOf(weights.bias);
  entries_.push_front({key, std::move(sources), std::move(weights), bytes});
  bytes_ += bytes;
  while (bytes_ > budget_ && entries_.size() > 1) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
  return entries_.front().weights;
}

void WeightCache::clear() {
  entries_.clear();
  bytes_ = 0;
}

}  // namespace torchsearch

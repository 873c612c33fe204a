#include "core/forward/activation_cache.h"

#include <algorithm>
#include <unordered_set>

namespace torchsearch {

void ActivationCache::setBudget(int64_t bytes) {
  budget_ = bytes;
  while (bytes_ > budget_) evict();
}

std::shared_ptr<const Checkpoint> ActivationCache::find(const Digest& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : found->second.checkpoint;
}

bool ActivationCache::admits(const CheckpointFamily& family, int64_t bytes, const Digest* replaced) const {
  int64_t room = budget_ - bytes_;
  if (replaced != nullptr) {
    const auto found = entries_.find(*replaced);
    if (found != entries_.end()) room += found->second.checkpoint->bytes;
  }
  if (bytes <= room) return true;
  for (const auto& [other, keys] : families_) {
    if (other->nextUse <= family.nextUse) continue;
    for (const Digest& key : keys) {
      if (replaced == nullptr || key != *replaced) room += entries_.at(key).checkpoint->bytes;
    }
    if (bytes <= room) return true;
  }
  return false;
}

void ActivationCache::put(const Digest& key, std::shared_ptr<const Checkpoint> checkpoint,
                          const std::shared_ptr<CheckpointFamily>& family, const Digest* replaced) {
  if (holds(key) || !admits(*family, checkpoint->bytes, replaced)) return;
  if (replaced != nullptr) erase(*replaced);
  while (bytes_ + checkpoint->bytes > budget_) evict();
  bytes_ += checkpoint->bytes;
  families_[family].push_back(key);
  entries_.emplace(key, Entry{std::move(checkpoint), family});
}

void ActivationCache::evict() {
  const auto last = std::max_element(families_.begin(), families_.end(), [](const auto& a, const auto& b) {
    return a.first->nextUse < b.first->nextUse;
  });
  erase(Digest(last->second.back()));
}

void ActivationCache::erase(const Digest& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  bytes_ -= found->second.checkpoint->bytes;
  const auto family = families_.find(found->second.family);
  auto& keys = family->second;
  // From the end, where evictions take them.
  const auto place = std::find(keys.rbegin(), keys.rend(), key);
  keys.erase(std::next(place).base());
  entries_.erase(found);
  if (keys.empty()) families_.erase(family);
}

void ActivationCache::drop(const std::shared_ptr<CheckpointFamily>& family) {
  const auto found = families_.find(family);
  if (found == families_.end()) return;
  for (const Digest& key : found->second) {
    const auto entry = entries_.find(key);
    bytes_ -= entry->second.checkpoint->bytes;
    entries_.erase(entry);
  }
  families_.erase(found);
}

void ActivationCache::clear() {
  entries_.clear();
  families_.clear();
  bytes_ = 0;
}

int64_t storageBytes(const Checkpoint& checkpoint) {
  std::unordered_set<const c10::StorageImpl*> seen;
  int64_t bytes = 0;
  const auto add = [&](const at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.has_storage()) return;
    const auto* storage = tensor.storage().unsafeGetStorageImpl();
    if (seen.insert(storage).second) bytes += static_cast<int64_t>(storage->nbytes());
  };
  for (const auto& item : checkpoint.activations.tensors) add(item.second);
  for (const auto& item : checkpoint.statistics) add(item.second);
  return bytes;
}

}  // namespace torchsearch

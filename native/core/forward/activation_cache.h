#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/forward/executor.h"
#include "core/hash/digest.h"

namespace torchsearch {

// From where a later run on the same batch can go on.
struct Checkpoint {
  Activations activations;
  // What the norms before it have made of their running statistics, where these were recomputed.
  std::vector<std::pair<SlotId, at::Tensor>> statistics;
  int64_t bytes = 0;
};

// Checkpoints of all batches at one place of one program: they become useless together.
struct CheckpointFamily {
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  int64_t nextUse = kNever;  // in how many candidates it will be wanted next
  int64_t uses = 0;          // how many of the candidates foreseen want it
};

// Keeps checkpoints within a budget of bytes. One that is wanted later gives way to one that is wanted
// sooner (Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal
// 5(2), 1966); among equals the first to come stay, so that a pass over more batches than fit still finds
// some of them.
class ActivationCache {
 public:
  // Drops what no longer fits. 0 keeps nothing.
  void setBudget(int64_t bytes);
  int64_t budget() const { return budget_; }
  // What is held. May be asked from any thread.
  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  int64_t size() const { return static_cast<int64_t>(entries_.size()); }

  std::shared_ptr<const Checkpoint> find(const Digest& key) const;
  bool holds(const Digest& key) const { return entries_.count(key) > 0; }

  // Whether a checkpoint would be let in, by its size, in place of `replaced`.
  bool admits(const CheckpointFamily& family, int64_t bytes, const Digest* replaced) const;
  // Does nothing when it is not let in.
  void put(const Digest& key, std::shared_ptr<const Checkpoint> checkpoint,
           const std::shared_ptr<CheckpointFamily>& family, const Digest* replaced);

  void drop(const std::shared_ptr<CheckpointFamily>& family);
  void clear();

 private:
  struct Entry {
    std::shared_ptr<const Checkpoint> checkpoint;
    std::shared_ptr<CheckpointFamily> family;
  };
  using Families = std::unordered_map<std::shared_ptr<CheckpointFamily>, std::vector<Digest>>;

  void erase(const Digest& key);
  void evict();

  int64_t budget_ = 0;
  std::atomic<int64_t> bytes_{0};
  std::unordered_map<Digest, Entry, DigestHash> entries_;
  Families families_;  // keys in the order in which they came
};

// Memory that the tensors hold, each storage once.
int64_t storageBytes(const Checkpoint& checkpoint);

}  // namespace torchsearch

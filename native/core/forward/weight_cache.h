#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <string>
#include <vector>

namespace torchsearch {

// Tensors that something was computed from, and what they held then, told by their version counters; where
// JavaScript may write them unseen (see exposed_memory.h), by a digest.
class WeightSources {
 public:
  explicit WeightSources(const std::vector<at::Tensor>& tensors);  // undefined ones are left out

  // Whether these tensors, now, are those that were given, unchanged.
  bool matches(const WeightSources& now) const;
  bool isCurrent() const;

 private:
  struct Source {
    at::Tensor tensor;  // held, so that its memory is no other tensor's
    uint64_t version = 0;
    uint64_t digest = 0;
  };
  std::vector<Source> sources_;
};

// What was computed from weights: folded, reordered or copied ones. The least recently used go first when it
// grows beyond its budget. One thread at a time.
class WeightCache {
 public:
  struct Weights {
    at::Tensor weight;
    at::Tensor bias;
  };

  explicit WeightCache(int64_t budget) : budget_(budget) {}  // bytes

  // The weights made under this key from equal sources, or null.
  const Weights* find(const std::string& key, const WeightSources& sources);
  const Weights& add(const std::string& key, WeightSources sources, Weights weights);
  void clear();
  int64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key;
    WeightSources sources;
    Weights weights;
    int64_t bytes = 0;
  };
  int64_t budget_;
  int64_t bytes_ = 0;
  std::list<Entry> entries_;  // the most recently used first
};

}  // namespace torchsearch

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace torchsearch {

struct DatasetOptions {
  int64_t batchSize = 1;
  std::optional<uint64_t> shuffleSeed =
      std::nullopt;       // the same seed gives the same order, on every pass and machine
  bool dropLast = false;  // leave out a last batch smaller than batchSize
};

// Tensors with an equal first dimension, cut into batches. A batch is one slice of each tensor: a view when
// the order is the tensors' own, a copy when shuffled. May be used from any thread.
class Dataset {
 public:
  // ERR_DATASET when the tensors or options make no dataset.
  Dataset(std::vector<at::Tensor> tensors, const DatasetOptions& options);

  int64_t samples() const { return samples_; }  // in all batches of a pass
  int64_t batches() const { return batches_; }
  int64_t samplesIn(int64_t batches) const;  // in the first so many batches
  int64_t width() const { return width_; }   // tensors in a batch

  std::vector<at::Tensor> batch(int64_t index) const;
  // The same, with the samples in another order than the data set's own: indices of all samples.
  std::vector<at::Tensor> batch(int64_t index, const at::Tensor& order) const;
  // One tensor of such a batch; an undefined order is the data set's own. With `pinned`, what lies in the
  // CPU's memory is copied into page-locked memory, from which an accelerator fetches it by itself.
  at::Tensor part(int64_t index, int64_t position, const at::Tensor& order, bool pinned) const;
  int64_t batchSamples(int64_t index) const;  // samples in that batch
  // The whole tensor at that position of a batch.
  at::Tensor tensor(int64_t position) const;
  // A random order of all samples, the same for a seed on every machine.
  at::Tensor randomOrder(uint64_t seed) const;

  void close();  // later batches throw ERR_CLOSED
  bool closed() const;

 private:
  struct Content {
    std::vector<at::Tensor> tensors;
    at::Tensor order;  // undefined when not shuffled
  };

  std::shared_ptr<const Content> content() const;

  int64_t batchSize_;
  int64_t samples_ = 0;
  int64_t batches_ = 0;
  int64_t width_ = 0;
  mutable std::mutex mutex_;
  std::shared_ptr<const Content> content_;
};

}  // namespace torchsearch

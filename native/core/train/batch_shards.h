#pragma once

#include <cstdint>

#include "core/hash/digest.h"
#include "core/train/learner.h"

namespace torchsearch {

// A batch cut along its samples into neighbouring shards of two samples or more, whose numbers of samples
// differ by at most one; the last shards have none where there are too few.
class BatchShards {
 public:
  // Throws ERR_BATCH where a tensor of the batch has no first dimension of the batch's size.
  BatchShards(const TrainBatch& batch, int64_t shards);

  // The shard's share of the samples; 0 for one without any.
  double weight(int64_t shard) const;
  TrainBatch shard(int64_t shard) const;
  // Of all tensors' shapes and contents.
  Digest digest() const;

 private:
  const TrainBatch& batch_;
  int64_t shards_;  // that have samples
  int64_t samples_ = 0;
};

}  // namespace torchsearch

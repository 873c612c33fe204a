#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/dist/exchange.h"
#include "core/dist/sum_tree.h"
#include "core/train/learner.h"

namespace torchsearch {

// How one step learns a batch in shards, alone or with the other ranks of a group. The batch's samples are
// cut into `shards` neighbouring parts of nearly the same size, and each is learned by itself, from the same
// weights, buffers and seed. The step's gradients are the mean of the shards', weighted by their samples, and
// buffers change by the mean of their changes; whole-numbered buffers, such as counts of batches, change as
// in the first shard. Sums follow a fixed tree (ShardRange), so that any number of ranks computes the same
// bits.
//
// Losses are means over a shard. Batch norms take a shard's statistics, as those of one device in PyTorch's
// DistributedDataParallel.
class ShardedStep {
 public:
  // `exchange` is null where one process learns all shards.
  ShardedStep(Learner& learner, std::vector<NamedTensor> trained, int64_t shards, Exchange* exchange);

  // Leaves the gradients in the parameters, and gives the loss; when it isn't finite there are no gradients.
  // When it throws, gradients and buffers are as they were.
  //
  // Throws ERR_BATCH where the batch can't be cut; ERR_GROUP_MISMATCH where ranks have other batches;
  // ERR_GROUP_PEER_LOST; ERR_ABORTED; what the learner throws.
  double learn(const TrainBatch& batch, uint64_t seed, int64_t step, const CancelToken& cancel);

 private:
  // What is added: of one shard or of several.
  struct Part {
    double loss = 0;
    at::Tensor values;  // gradients, changes of buffers, and for each parameter the number of its gradients
    at::Tensor wholes;  // whole-numbered buffers, of the leftmost shard
  };
  struct Work;  // one step

  Part node(const Work& work, const ShardRange& range);
  Part leaf(const Work& work, int64_t shard);
  Part together(const Work& work);
  void apply(const Part& total);
  std::string bytesOf(const Part& part) const;
  Part partOf(const std::string& bytes) const;
  int64_t partBytes() const;

  Learner& learner_;
  const std::vector<NamedTensor> trained_;
  const int64_t shards_;
  Exchange* const exchange_;
  at::ScalarType type_ = at::kFloat;
  std::vector<NamedTensor> floats_;    // buffers
  std::vector<NamedTensor> integers_;  // buffers
  int64_t valueCount_ = 0;
  int64_t wholeCount_ = 0;
  int64_t last_ = -1;  // step of which this rank has published the total
};

}  // namespace torchsearch

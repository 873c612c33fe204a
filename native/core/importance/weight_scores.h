#pragma once

#include <functional>
#include <vector>

#include "core/importance/channel_votes.h"

namespace torchsearch {

// Votes of the slices of one weight: by dimension, in the order of `dimensions`, and index.
using SliceVotes = std::function<std::vector<std::vector<double>>(const at::Tensor& weight,
                                                                  const std::vector<int64_t>& dimensions)>;

// Scores of a measure that asks nothing but the weights. Biases and the vectors of norms say little of a
// channel's weight in the network, so they don't vote. `values` are by SlotId.
ChannelScores scoresOfWeights(const Dependencies& dependencies, const std::vector<at::Tensor>& values,
                              const SliceVotes& votesOf);

}  // namespace torchsearch

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/graph/dependency.h"
#include "core/importance/channel_votes.h"

namespace torchsearch {

// For each group, the old position at each new one.
using ChannelOrder = std::vector<std::vector<int64_t>>;

// The highest score first; among equal ones, the first.
ChannelOrder descendingOrder(const ChannelScores& scores);

// For labels of a dimension, the old index at each new one.
std::vector<int64_t> permutationOf(const Dependencies& dependencies, const Labels& labels,
                                   const ChannelOrder& order);

// Reorders parameters and buffers (by SlotId) in place. What it needs on the way is small beside the largest
// of them. Must not be interrupted: half an order is another model.
void permuteChannels(const Dependencies& dependencies, const std::vector<at::Tensor>& tensors,
                     const ChannelOrder& order);

// One tensor, for this parameter or buffer, in place.
void permuteChannels(const Dependencies& dependencies, SlotId slot, const at::Tensor& tensor,
                     const ChannelOrder& order);

// The order that comes of `second` after `first`; an empty `first` is the order as it was.
ChannelOrder composed(const ChannelOrder& first, const ChannelOrder& second);

// The order that undoes another one.
ChannelOrder inverted(const ChannelOrder& order);

// Hexadecimal SHA-256 of an order.
std::string digestOf(const ChannelOrder& order);

}  // namespace torchsearch

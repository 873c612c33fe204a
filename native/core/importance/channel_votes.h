#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/graph/dependency.h"

namespace torchsearch {

// One score per class of each group: by group, then by position. The higher, the longer a channel is kept.
using ChannelScores = std::vector<std::vector<double>>;

// What one dimension of one tensor says about the channels that run along it: a value per class of each group
// that it touches.
class ChannelVote {
 public:
  // Adds values[i] to the class of index i; indices that stay whole have no say.
  void add(const Dependencies& dependencies, const Labels& labels, const std::vector<double>& values);
  // Adds the absolute values of `other`.
  void addMagnitudes(const ChannelVote& other);

  // Adds each group's values to its scores, divided by their mean, so that every vote weighs the same
  // whatever its units and size. Values that are all 0 say nothing. ERR_IMPORTANCE_NAN names `voter`.
  void count(const std::string& voter, ChannelScores& scores) const;

  const std::map<int32_t, std::vector<double>>& values() const { return values_; }

 private:
  std::map<int32_t, std::vector<double>> values_;  // by group
};

// All 0.
ChannelScores zeroScores(const Dependencies& dependencies);

// Whether a dimension with these labels has channels of a group.
bool holdsChannels(const Dependencies& dependencies, const Labels& labels);

// The dimensions of a slot that have.
std::vector<int64_t> channelDimensions(const Dependencies& dependencies, SlotId slot);

}  // namespace torchsearch

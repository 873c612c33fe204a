#include "core/importance/channel_votes.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace torchsearch {

void ChannelVote::add(const Dependencies& dependencies, const Labels& labels,
                      const std::vector<double>& values) {
  for (size_t i = 0; i < labels.size(); ++i) {
    const ClassPlace place = dependencies.placeOf(labels[i]);
    if (place.group == kNoGroup) continue;
    auto& group = values_[place.group];
    if (group.empty()) group.resize(dependencies.groupSize(place.group));
    group[place.position] += values[i];
  }
}

void ChannelVote::addMagnitudes(const ChannelVote& other) {
  for (const auto& [group, values] : other.values_) {
    auto& own = values_[group];
    own.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) own[i] += std::abs(values[i]);
  }
}

void ChannelVote::count(const std::string& voter, ChannelScores& scores) const {
  for (const auto& [group, values] : values_) {
    double sum = 0;
    for (const double value : values) sum += value;
    if (!std::isfinite(sum)) {
      throw Error("ERR_IMPORTANCE_NAN", "The importance of channels by " + voter +
                                            " is not a finite number. Check the weights and the data for NaN "
                                            "and infinity, or choose another importance.");
    }
    if (sum <= 0) continue;
    const double mean = sum / static_cast<double>(values.size());
    for (size_t i = 0; i < values.size(); ++i) scores[group][i] += values[i] / mean;
  }
}

ChannelScores zeroScores(const Dependencies& dependencies) {
  ChannelScores scores(dependencies.groupCount());
  for (size_t g = 0; g < scores.size(); ++g) {
    scores[g].assign(dependencies.groupSize(static_cast<int32_t>(g)), 0.0);
  }
  return scores;
}

bool holdsChannels(const Dependencies& dependencies, const Labels& labels) {
  return std::any_of(labels.begin(), labels.end(),
                     [&](Atom atom) { return dependencies.placeOf(atom).group != kNoGroup; });
}

std::vector<int64_t> channelDimensions(const Dependencies& dependencies, SlotId slot) {
  std::vector<int64_t> dimensions;
  const auto rank = static_cast<int64_t>(dependencies.program().slots[slot].sizes.size());
  for (int64_t d = 0; d < rank; ++d) {
    if (holdsChannels(dependencies, dependencies.labels(slot, d))) dimensions.push_back(d);
  }
  return dimensions;
}

}  // namespace torchsearch

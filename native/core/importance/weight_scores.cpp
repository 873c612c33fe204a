#include "core/importance/weight_scores.h"

#include <ATen/ATen.h>

namespace torchsearch {

ChannelScores scoresOfWeights(const Dependencies& dependencies, const std::vector<at::Tensor>& values,
                              const SliceVotes& votesOf) {
  const at::NoGradGuard noGrad;
  const Program& program = dependencies.program();
  ChannelScores scores = zeroScores(dependencies);
  for (size_t i = 0; i < program.slots.size(); ++i) {
    const Slot& slot = program.slots[i];
    if (slot.kind != Slot::Kind::kParameter || slot.sizes.size() < 2 || !at::isFloatingType(slot.dtype)) {
      continue;
    }
    const auto id = static_cast<SlotId>(i);
    const auto dimensions = channelDimensions(dependencies, id);
    const auto votes = votesOf(values[i].detach(), dimensions);
    for (size_t k = 0; k < dimensions.size(); ++k) {
      ChannelVote vote;
      vote.add(dependencies, dependencies.labels(id, dimensions[k]), votes[k]);
      vote.count("the weights of '" + slot.name + "'", scores);
    }
  }
  return scores;
}

}  // namespace torchsearch

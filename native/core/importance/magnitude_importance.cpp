#include <ATen/ATen.h>

#include <cmath>

#include "core/importance/importance.h"
#include "core/importance/slice_sums.h"

namespace torchsearch {

namespace {

// The norm of a channel's slice of each weight that it runs through (Li et al., "Pruning Filters for
// Efficient ConvNets", ICLR 2017; grouped as in DepGraph, 2023).
class MagnitudeImportance : public Importance {
 public:
  explicit MagnitudeImportance(double order) : order_(order) {}

  ChannelScores scores(const Dependencies& dependencies,
                       const std::vector<at::Tensor>& values) const override {
    const at::NoGradGuard noGrad;
    const Program& program = dependencies.program();
    ChannelScores scores = zeroScores(dependencies);
    for (size_t i = 0; i < program.slots.size(); ++i) {
      const Slot& slot = program.slots[i];
      // Biases and the vectors of norms say little of a channel's weight in the network.
      if (slot.kind != Slot::Kind::kParameter || slot.sizes.size() < 2 || !at::isFloatingType(slot.dtype)) {
        continue;
      }
      const auto id = static_cast<SlotId>(i);
      const auto dimensions = channelDimensions(dependencies, id);
      const auto norms = sliceNorms(values[i].detach(), dimensions);
      for (size_t k = 0; k < dimensions.size(); ++k) {
        ChannelVote vote;
        vote.add(dependencies, dependencies.labels(id, dimensions[k]), norms[k]);
        vote.count("the weights of '" + slot.name + "'", scores);
      }
    }
    return scores;
  }

 private:
  std::vector<std::vector<double>> sliceNorms(const at::Tensor& weight,
                                              const std::vector<int64_t>& dimensions) const {
    auto sums = sliceSums(weight.sizes(), weight.device(), dimensions, [&](int64_t begin, at::Tensor& rows) {
      rows.copy_(weight.narrow(0, begin, rows.size(0)));
      if (order_ == 1) {
        rows.abs_();
      } else {
        rows.square_();
      }
    });
    if (order_ != 1) {
      for (auto& values : sums) {
        for (double& value : values) value = std::sqrt(value);
      }
    }
    return sums;
  }

  double order_;
};

}  // namespace

std::shared_ptr<Importance> makeMagnitudeImportance(double order) {
  return std::make_shared<MagnitudeImportance>(order);
}

}  // namespace torchsearch

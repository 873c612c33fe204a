#include <ATen/ATen.h>

#include <cmath>

#include "core/importance/importance.h"
#include "core/importance/slice_sums.h"
#include "core/importance/weight_scores.h"

namespace torchsearch {

namespace {

// The norm of a channel's slice of each weight that it runs through (Li et al., "Pruning Filters for
// Efficient ConvNets", ICLR 2017; grouped as in DepGraph, 2023).
class MagnitudeImportance : public Importance {
 public:
  explicit MagnitudeImportance(double order) : order_(order) {}

  ChannelScores scores(const Dependencies& dependencies,
                       const std::vector<at::Tensor>& values) const override {
    return scoresOfWeights(dependencies, values, [this](const auto& weight, const auto& along) {
      return sliceNorms(weight, along);
    });
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

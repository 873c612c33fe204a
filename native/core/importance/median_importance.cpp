#include <ATen/ATen.h>

#include "core/importance/importance.h"
#include "core/importance/weight_scores.h"

namespace torchsearch {

namespace {

// The sum of the distances of a channel's slice from the slices of all other channels of the same weight (He
// et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration", CVPR
// 2019): what lies near the geometric median, the others can stand for. Grouped as the magnitudes are.
class MedianImportance : public Importance {
 public:
  ChannelScores scores(const Dependencies& dependencies,
                       const std::vector<at::Tensor>& values) const override {
    return scoresOfWeights(dependencies, values, [](const auto& weight, const auto& along) {
      std::vector<std::vector<double>> found;
      for (const int64_t dimension : along) found.push_back(distances(weight, dimension));
      return found;
    });
  }

 private:
  // By index of a dimension. Differences are taken one by one, since the quick way, by products, loses the
  // digits of slices that are nearly equal.
  static std::vector<double> distances(const at::Tensor& weight, int64_t dimension) {
    const at::Tensor slices = weight.to(at::kDouble).movedim(dimension, 0).flatten(1).contiguous();
    constexpr int64_t kWithoutProducts = 2;  // cdist's compute_mode
    const at::Tensor sums = at::cdist(slices, slices, 2.0, kWithoutProducts).sum(1).cpu().contiguous();
    const double* first = sums.const_data_ptr<double>();
    return {first, first + sums.numel()};
  }
};

}  // namespace

std::shared_ptr<Importance> makeMedianImportance() {
  return std::make_shared<MedianImportance>();
}

}  // namespace torchsearch

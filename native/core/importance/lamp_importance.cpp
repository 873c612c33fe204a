#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "core/importance/importance.h"
#include "core/importance/slice_sums.h"
#include "core/importance/weight_scores.h"

namespace torchsearch {

namespace {

// The square of a slice's norm as a share of the squares of all slices that are no smaller (Lee et al.,
// "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, with slices in place of weights).
// Grouped as the magnitudes are.
class LampImportance : public Importance {
 public:
  ChannelScores scores(const Dependencies& dependencies,
                       const std::vector<at::Tensor>& values) const override {
    return scoresOfWeights(dependencies, values, [](const auto& weight, const auto& along) {
      auto sums = sliceSums(weight.sizes(), weight.device(), along, [&](int64_t begin, at::Tensor& rows) {
        rows.copy_(weight.narrow(0, begin, rows.size(0)));
        rows.square_();
      });
      for (auto& squares : sums) squares = sharesOfLarger(squares);
      return sums;
    });
  }

 private:
  static std::vector<double> sharesOfLarger(const std::vector<double>& squares) {
    std::vector<size_t> order(squares.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return squares[a] > squares[b]; });
    std::vector<double> shares(squares.size(), 0);
    double larger = 0;
    for (const size_t i : order) {
      larger += squares[i];
      shares[i] = larger > 0 ? squares[i] / larger : 0;
    }
    return shares;
  }
};

}  // namespace

std::shared_ptr<Importance> makeLampImportance() {
  return std::make_shared<LampImportance>();
}

}  // namespace torchsearch

#include <random>

#include "core/importance/importance.h"

namespace torchsearch {

namespace {

// A baseline: any order of channels. The same seed gives the same order on every machine.
class RandomImportance : public Importance {
 public:
  explicit RandomImportance(uint64_t seed) : seed_(seed) {}

  ChannelScores scores(const Dependencies& dependencies, const std::vector<at::Tensor>&) const override {
    ChannelScores scores = zeroScores(dependencies);
    std::mt19937_64 generator(seed_);  // the standard fixes its output, but not that of its distributions
    for (auto& group : scores) {
      for (double& score : group) score = static_cast<double>(generator() >> 11) * 0x1p-53;
    }
    return scores;
  }

 private:
  uint64_t seed_;
};

}  // namespace

std::shared_ptr<Importance> makeRandomImportance(uint64_t seed) {
  return std::make_shared<RandomImportance>(seed);
}

}  // namespace torchsearch

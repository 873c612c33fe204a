#include "core/forward/kernel_trial.h"

#include <ATen/ATen.h>

#include <cmath>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "core/forward/agreement.h"

namespace torchsearch {
namespace {

// The longest side of a kernel that is run in channels-last order. Up to here, random geometries were tried
// with every operand beside memory that can't be read.
constexpr int64_t kLongestSide = 11;

class Verdicts {
 public:
  static Verdicts& all() {
    static Verdicts verdicts;
    return verdicts;
  }

  Verdict at(const Digest& geometry) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = known_.find(geometry);
    return found == known_.end() ? Verdict::kUntried : found->second;
  }

  void learn(const Digest& geometry, Verdict verdict) {
    const std::lock_guard<std::mutex> lock(mutex_);
    known_[geometry] = verdict;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Digest, Verdict, DigestHash> known_;
};

// Whether a comparison tells anything: zeros agree however they are computed, and oneDNN's activations make
// numbers of what is none.
bool tells(const at::Tensor& result) {
  const double largest = result.abs().max().item<double>();
  return std::isfinite(largest) && largest > 0;
}

class TriedStep final : public PreparedStep {
 public:
  TriedStep(const Digest& geometry, SlotId result, std::unique_ptr<PreparedStep> fast,
            std::unique_ptr<PreparedStep> plain)
      : geometry_(geometry), result_(result), fast_(std::move(fast)), plain_(std::move(plain)) {}

  void run(std::vector<at::Tensor>& values) const override {
    const Verdict verdict = verdictOn(geometry_);
    if (verdict == Verdict::kUntried) return compare(values);
    // The other one, and its weights, are needed no longer.
    (verdict == Verdict::kSound ? plain_ : fast_).reset();
    (verdict == Verdict::kSound ? fast_ : plain_)->run(values);
  }

 private:
  void compare(std::vector<at::Tensor>& values) const {
    // What is added may lie where the result will.
    const at::Tensor before = values[result_];
    fast_->run(values);
    at::Tensor fast = values[result_];
    values[result_] = before;
    plain_->run(values);
    if (fast.numel() == 0 || !tells(values[result_])) return;
    const bool sound = agrees(fast, values[result_]);
    Verdicts::all().learn(geometry_, sound ? Verdict::kSound : Verdict::kUnsound);
    if (sound) values[result_] = std::move(fast);
  }

  Digest geometry_;
  SlotId result_;
  // One program is run by one thread at a time; a verdict never changes.
  mutable std::unique_ptr<PreparedStep> fast_;
  mutable std::unique_ptr<PreparedStep> plain_;
};

}  // namespace

Verdict verdictOn(const Digest& geometry) {
  return Verdicts::all().at(geometry);
}

bool mayRunChannelsLast(const FusedChain& chain, const std::vector<int64_t>& weight,
                        const std::vector<int64_t>& output) {
  for (size_t d = 0; d < 2; ++d) {
    const int64_t side = weight[2 + d];
    // Padding as wide as the kernel makes outputs of padding alone (oneDNN's issue 5942).
    if (side > kLongestSide || chain.padding[d] > chain.dilation[d] * (side - 1)) return false;
  }
  return output[3] > 1 || weight[3] > 1 || weight[2] == 1;
}

std::unique_ptr<PreparedStep> triedStep(const Digest& geometry, SlotId result,
                                        std::unique_ptr<PreparedStep> fast,
                                        std::unique_ptr<PreparedStep> plain) {
  return std::make_unique<TriedStep>(geometry, result, std::move(fast), std::move(plain));
}

}  // namespace torchsearch

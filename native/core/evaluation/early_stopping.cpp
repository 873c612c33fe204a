#include "core/evaluation/early_stopping.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/base/error.h"

namespace torchsearch {
namespace {

double real(int64_t value) {
  return static_cast<double>(value);
}

bool isWorse(const Score& score, double value, double than) {
  return score.isLoss() ? value > than : value < than;
}

double logChoose(int64_t n, int64_t k) {
  return std::lgamma(real(n) + 1) - std::lgamma(real(k) + 1) - std::lgamma(real(n - k) + 1);
}

// P(X <= x), where X is how many of n, drawn without replacement, are among K of N.
double hypergeometricTail(int64_t x, int64_t K, int64_t n, int64_t N) {
  const int64_t least = std::max<int64_t>(0, n - (N - K));
  const int64_t most = std::min(n, K);
  if (x < least) return 0;
  if (x >= most) return 1;
  // From x away from the mode, where terms only fall, so that none that matters vanishes first.
  const bool down = real(x) < real(n + 1) * real(K + 1) / real(N + 2);
  const int64_t first = down ? x : x + 1;
  double term = std::exp(logChoose(K, first) + logChoose(N - K, n - first) - logChoose(N, n));
  double sum = 0;
  for (int64_t at = first; at >= least && at <= most && term > sum * 1e-17;) {
    sum += term;
    if (down) {
      term *= real(at) * real(N - K - n + at) / (real(K - at + 1) * real(n - at + 1));
      --at;
    } else {
      term *= real(K - at) * real(n - at) / (real(at + 1) * real(N - K - n + at + 1));
      ++at;
    }
  }
  return down ? std::min(1.0, sum) : std::max(0.0, 1 - sum);
}

[[noreturn]] void cantRace(const std::string& message) {
  throw Error("ERR_EARLY_STOPPING", message);
}

// The best that is likely enough.
double likelyBest(const Score& score, const StopRule& rule, const Score::Tally& tally, int64_t samples,
                  const PassSize& pass) {
  const std::optional<double> worst = rule.worst ? rule.worst : score.worst();
  if (!worst) {
    cantRace(
        "Racing needs to know what no sample is worse than, and this score has no such end: rate by "
        "accuracy, or stop early by exact bounds.");
  }
  if (tally.count != tally.targets) {
    cantRace(
        "Racing needs samples that count alike, but targets of this data are ignored: use exact bounds.");
  }
  const double mean = tally.sum / real(tally.count);
  if (isWorse(score, mean, *worst)) {
    cantRace("The mean of the samples so far has an absolute value of " + std::to_string(std::abs(mean)) +
             ", which is worse than what no sample may be worse than.");
  }
  // It may stop after each batch but the last, and they share the probability.
  const double share = rule.errorProbability / real(std::max<int64_t>(1, pass.batches - 1));
  if (!score.isLoss() && score.worst() == 0.0 && tally.count == samples) {
    // Each sample is right or wrong.
    const auto right = static_cast<int64_t>(tally.sum);
    return real(hypergeometricLimit(right, samples, pass.samples, share)) / real(pass.samples);
  }
  const double range = std::abs(score.best() - *worst);
  const double margin = hoeffdingSerfling(samples, pass.samples, range, share);
  return score.isLoss() ? mean - margin : mean + margin;
}

}  // namespace

std::optional<double> bestPossible(const Score& score, const StopRule& rule, int64_t samples,
                                   const PassSize& pass) {
  const Score::Tally tally = score.tally();
  if (samples < 1 || samples > pass.samples || tally.count < 1) return std::nullopt;
  // Every sample has as many targets as any other.
  if (tally.targets % samples != 0) return std::nullopt;
  const int64_t total = tally.targets / samples * pass.samples;
  const int64_t rest = total - tally.targets;
  // Ignored targets only make a loss's mean larger than if they counted.
  const double certain = (tally.sum + real(rest) * score.best()) / real(total);
  if (rule.errorProbability <= 0) return certain;
  const double likely = likelyBest(score, rule, tally, samples, pass);
  return isWorse(score, likely, certain) ? likely : certain;
}

std::optional<double> stopsAt(const Score& score, const StopRule& rule, int64_t samples,
                              const PassSize& pass) {
  const std::optional<double> best = bestPossible(score, rule, samples, pass);
  return best && isWorse(score, *best, rule.threshold) ? best : std::nullopt;
}

double hoeffdingSerfling(int64_t n, int64_t N, double range, double errorProbability) {
  const double drawn = real(n);
  const double all = real(N);
  const double rho = 2 * n <= N ? 1 - (drawn - 1) / all : (1 - drawn / all) * (1 + 1 / drawn);
  return range * std::sqrt(rho * std::log(1 / errorProbability) / (2 * drawn));
}

int64_t hypergeometricLimit(int64_t ones, int64_t n, int64_t N, double errorProbability) {
  int64_t low = ones;             // no other is one
  int64_t high = N - (n - ones);  // all others are
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    // The tail falls as the ones become more. Rounding must not make the limit smaller.
    if (hypergeometricTail(ones, middle, n, N) * (1 + 1e-6) > errorProbability) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace torchsearch

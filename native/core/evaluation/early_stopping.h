#pragma once

#include <cstdint>
#include <optional>

#include "core/evaluation/score.h"

namespace torchsearch {

// When a score is no longer of use: when the pass can't end with `threshold` or better.
struct StopRule {
  double threshold = 0;
  // 0: only what is certain counts. Otherwise the most probable, over a random order of the samples, that a
  // pass which would reach the threshold is taken, after any of its batches, for one that can't.
  double errorProbability = 0;
  // What no sample is worse than; the error probability needs it where a score has no such end of its own.
  std::optional<double> worst = std::nullopt;
};

// What a whole pass is.
struct PassSize {
  int64_t samples = 0;
  int64_t batches = 0;
};

// The best value that a pass can end with, as surely as the rule asks, going by what the score holds of the
// first `samples`; nothing where that can't be told. Where certainty is asked for, it is never worse than
// what the whole pass gives, also by rounding: sums of what is not negative only grow, and are divided by the
// same number or a smaller one. ERR_EARLY_STOPPING where an error probability is asked for and the score has
// no worst value, the mean is worse than it, or samples count unequally.
std::optional<double> bestPossible(const Score& score, const StopRule& rule, int64_t samples,
                                   const PassSize& pass);

// The same where it is worse than the rule's threshold, so that the pass may stop; else nothing.
std::optional<double> stopsAt(const Score& score, const StopRule& rule, int64_t samples,
                              const PassSize& pass);

// By how much the mean of N numbers, all in an interval of length `range`, exceeds the mean of n of them,
// drawn without replacement, except with a probability of at most `errorProbability`: the Hoeffding-Serfling
// inequality of Bardenet and Maillard, "Concentration inequalities for sampling without replacement",
// Bernoulli 21(3), 2015, corollary 2.5. 0 < n <= N, 0 < errorProbability < 1.
double hoeffdingSerfling(int64_t n, int64_t N, double range, double errorProbability);

// The same for numbers that are 0 or 1, exactly: the largest number of ones among N of which n, drawn without
// replacement, hold `ones` or fewer with a probability above `errorProbability` (the upper confidence limit
// of the hypergeometric distribution).
int64_t hypergeometricLimit(int64_t ones, int64_t n, int64_t N, double errorProbability);

}  // namespace torchsearch

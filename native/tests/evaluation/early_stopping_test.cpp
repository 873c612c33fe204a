#include "core/evaluation/early_stopping.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "core/base/error.h"
#include "core/evaluation/evaluate.h"
#include "core/model/module.h"
#include "tests/support/doctest.h"

namespace torchsearch::testing {

namespace {

// What scipy.stats.hypergeom(N, K, n).cdf(ones) says: the largest K with a value above p.
struct Limit {
  int64_t ones, n, N;
  double p;
  int64_t expected;
};

torch::jit::Module identity() {
  torch::jit::Module module("m");
  module.register_attribute("training", c10::BoolType::get(), false);
  module.define("def forward(self, x):\n  return x + 0\n");
  return module;
}

at::Tensor outputs(int64_t samples, int64_t classes) {
  return at::randn({samples, classes}) * 3;
}

}  // namespace

TEST_CASE("hypergeometric limits are those of scipy") {
  const std::vector<Limit> limits{{3, 10, 40, 0.05, 22},
                                  {0, 10, 40, 0.01, 12},
                                  {10, 10, 40, 0.05, 40},
                                  {50, 64, 1437, 0.002, 1299},
                                  {900, 1000, 50000, 0.0001, 46578},
                                  {0, 1, 1, 0.5, 0},
                                  {199, 256, 1437, 0.001, 1214},
                                  {5, 39, 40, 0.3, 5},
                                  {40000, 50000, 1000000, 1e-05, 807372}};
  for (const auto& [ones, n, N, p, expected] : limits) CHECK(hypergeometricLimit(ones, n, N, p) == expected);
}

TEST_CASE("the Hoeffding-Serfling margin is that of the paper") {
  // (b - a) sqrt(rho log(1 / delta) / (2 n)), worked out by hand.
  CHECK(hoeffdingSerfling(25, 100, 2, 0.05) ==
        doctest::Approx(2 * std::sqrt((1 - 24.0 / 100) * std::log(20.0) / 50)));
  CHECK(hoeffdingSerfling(80, 100, 1, 0.01) ==
        doctest::Approx(std::sqrt(0.2 * (1 + 1.0 / 80) * std::log(100.0) / 160)));
  CHECK(hoeffdingSerfling(100, 100, 1, 0.01) == 0);
}

TEST_CASE("the best possible is never worse than what the whole pass gives") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    at::manual_seed(static_cast<uint64_t>(round));
    const int64_t samples = 1 + static_cast<int64_t>(random() % 40);
    const int64_t batchSize = 1 + static_cast<int64_t>(random() % 7);
    const ScoreKind kind = std::vector{ScoreKind::kTopKAccuracy, ScoreKind::kCrossEntropy,
                                       ScoreKind::kMeanSquaredError, ScoreKind::kKlDivergence}[random() % 4];
    // A good model among the bad ones: what comes after the first batches goes well.
    at::Tensor x = outputs(samples, 4);
    at::Tensor labels = at::randint(4, {samples});
    if (round % 2 == 0) labels = x.argmax(1);
    if (round % 3 == 0 && kind == ScoreKind::kCrossEntropy) labels[0] = -100;
    if (round % 3 == 0 && kind == ScoreKind::kCrossEntropy && samples == 1) continue;
    const at::Tensor target =
        kind == ScoreKind::kMeanSquaredError ? (round % 2 == 0 ? x.clone() : outputs(samples, 4)) : labels;
    const auto score =
        Score::make(kind, {.k = 1 + static_cast<int64_t>(random() % 2), .view = {}, .teacher = {}});
    std::vector<double> bounds;
    const PassSize pass{samples, (samples + batchSize - 1) / batchSize};
    for (int64_t at = 0; at < samples; at += batchSize) {
      const int64_t size = std::min(batchSize, samples - at);
      const at::Tensor part = x.narrow(0, at, size);
      score->add(part, target.narrow(0, at, size), c10::IValue(round % 2 == 0 ? part : part.neg()));
      if (const auto best = bestPossible(*score, {}, at + size, pass)) bounds.push_back(*best);
    }
    const double value = score->value();
    for (const double bound : bounds) {
      if (score->isLoss()) {
        CHECK(bound <= value);
      } else {
        CHECK(bound >= value);
      }
    }
    CHECK(bounds.size() >= 1);
  }
}

TEST_CASE("a pass stops at the first batch after which the threshold is out of reach") {
  // Right are 0, 1, 4, 5, 8, 9 ... of 20: two of each four.
  const at::Tensor x = at::eye(2).index({at::zeros({20}, at::kLong)});
  const at::Tensor labels = at::arange(20).div(2, "floor").remainder(2);
  const Dataset data({x, labels}, {.batchSize = 4});
  Module module(identity());
  const auto score = Score::make(ScoreKind::kTopKAccuracy, {});
  const auto run = [&](double threshold, int64_t maxBatches) {
    return evaluate(
        module, data, *score,
        {.inputs = {0}, .target = 1, .maxBatches = maxBatches, .stop = StopRule{.threshold = threshold}},
        CancelToken(), {});
  };
  // After b batches, at best (20 - 2 b) / 20.
  LoopResult result = run(0.85, -1);
  CHECK(result.batches == 2);
  CHECK(result.samples == 8);
  CHECK(result.bound == 16.0 / 20);
  // Equal is not below.
  CHECK(run(0.8, -1).batches == 3);
  CHECK(run(0.9, -1).batches == 2);
  CHECK(run(0.95, -1).batches == 1);
  result = run(0.5, -1);
  CHECK(result.batches == 5);
  CHECK_FALSE(result.bound.has_value());
  CHECK(result.value == 0.5);
  // Of the first two batches: (8 - 2) / 8.
  CHECK(run(0.8, 2).batches == 1);
  CHECK(run(0.75, 2).batches == 2);
  // A pass that ends is not stopped, though the threshold is out of reach then.
  CHECK_FALSE(run(0.75, 2).bound.has_value());
}

TEST_CASE("racing refuses what it can't vouch for") {
  Module module(identity());
  const Dataset data({outputs(8, 3), at::tensor({0, 1, 2, 0, -100, 1, 2, 0})}, {.batchSize = 2});
  const auto run = [&](ScoreKind kind, StopRule rule) {
    const auto score = Score::make(kind, {});
    return evaluate(module, data, *score, {.inputs = {0}, .target = 1, .stop = rule}, CancelToken(), {});
  };
  const auto code = [&](ScoreKind kind, StopRule rule) -> std::string {
    try {
      run(kind, rule);
    } catch (const Error& error) {
      return error.code();
    }
    return "";
  };
  CHECK(code(ScoreKind::kCrossEntropy, {.threshold = 9, .errorProbability = 0.1}) == "ERR_EARLY_STOPPING");
  CHECK(code(ScoreKind::kCrossEntropy, {.threshold = 99, .errorProbability = 0.1, .worst = 0.01}) ==
        "ERR_EARLY_STOPPING");
  CHECK(code(ScoreKind::kCrossEntropy, {.threshold = 99, .errorProbability = 0.1, .worst = 50}) ==
        "ERR_EARLY_STOPPING");
  CHECK(code(ScoreKind::kTopKAccuracy, {.threshold = 0, .errorProbability = 0.1}) == "");
}

TEST_CASE("racing errs no more often than it says") {
  // Samples that just reach the threshold, in random orders: how often is one of them stopped?
  std::mt19937_64 random(3);
  struct Case {
    int64_t samples, right, batch;
  };
  for (const auto& [samples, right, batch] :
       {Case{60, 30, 5}, Case{100, 90, 10}, Case{40, 39, 4}, Case{200, 20, 50}}) {
    const double p = 0.2;
    std::vector<int> rights(static_cast<size_t>(samples), 0);
    std::fill(rights.begin(), rights.begin() + right, 1);
    const PassSize pass{samples, (samples + batch - 1) / batch};
    const StopRule rule{.threshold = static_cast<double>(right) / static_cast<double>(samples),
                        .errorProbability = p};
    const int runs = 1500;
    int wrong = 0;  // by the exact limit
    int wrongByMargin = 0;
    for (int run = 0; run < runs; ++run) {
      std::shuffle(rights.begin(), rights.end(), random);
      int64_t ones = 0;
      for (int64_t at = 0; at + batch < samples; at += batch) {
        for (int64_t i = at; i < at + batch; ++i) ones += rights[static_cast<size_t>(i)];
        const int64_t seen = at + batch;
        const double share = p / static_cast<double>(pass.batches - 1);
        if (static_cast<double>(hypergeometricLimit(ones, seen, samples, share)) <
            rule.threshold * static_cast<double>(samples)) {
          ++wrong;
          break;
        }
      }
      // As losses of 0 and 1.
      int64_t misses = 0;
      for (int64_t at = 0; at + batch < samples; at += batch) {
        for (int64_t i = at; i < at + batch; ++i) misses += 1 - rights[static_cast<size_t>(i)];
        const double mean = static_cast<double>(misses) / static_cast<double>(at + batch);
        const double margin =
            hoeffdingSerfling(at + batch, samples, 1, p / static_cast<double>(pass.batches - 1));
        if (mean - margin > 1 - rule.threshold) {
          ++wrongByMargin;
          break;
        }
      }
    }
    // Three standard deviations of the estimate.
    const double slack = 3 * std::sqrt(p * (1 - p) / runs);
    CHECK(wrong / static_cast<double>(runs) <= p + slack);
    CHECK(wrongByMargin / static_cast<double>(runs) <= p + slack);
    CHECK(wrongByMargin <= wrong);  // the exact limit is the tighter one
  }
}

}  // namespace torchsearch::testing

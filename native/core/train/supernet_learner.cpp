#include "core/train/supernet_learner.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "core/base/cleanup.h"
#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/evaluation/score_input.h"
#include "core/train/step_random.h"

namespace torchsearch {

namespace {

[[noreturn]] void noLossFromElsewhere() {
  throw Error("ERR_CONFIG_VALUE",
              "A supernet is trained by a built-in loss: choose \"crossEntropy\" or \"meanSquaredError\".");
}

}  // namespace

SupernetLearner::SupernetLearner(std::shared_ptr<SearchSpace> space, SandwichSettings settings)
    : space_(std::move(space)), settings_(std::move(settings)), objective_(settings_.objective) {
  const auto& hyperparameters = space_->hyperparameters();
  if (hyperparameters.empty()) {
    throw Error("ERR_CONFIG_VALUE",
                "This space has no hyperparameter, so there are no subnets to train: train its module with "
                "finetune(), or convert with a smaller channelDivisor.");
  }
  if (settings_.smallest.size() != hyperparameters.size()) {
    throw Error("ERR_CHOICE", "Expected " + std::to_string(hyperparameters.size()) +
                                  " values of the smallest subnet but received " +
                                  std::to_string(settings_.smallest.size()) + ".");
  }
  for (size_t i = 0; i < hyperparameters.size(); ++i) {
    const auto& [name, choices, full] =
        std::tie(hyperparameters[i].name, hyperparameters[i].choices, hyperparameters[i].full);
    const auto first = std::find(choices.begin(), choices.end(), settings_.smallest[i]);
    if (first == choices.end()) {
      throw Error("ERR_CHOICE", std::to_string(settings_.smallest[i]) + " is no choice of '" + name +
                                    "'; give one of its choices for the smallest subnet.");
    }
    largest_.push_back(full);
    choices_.emplace_back(first, choices.end());
  }
}

std::shared_ptr<void> SupernetLearner::hold() {
  // Whoever holds the learner may change the weights.
  struct Held {
    explicit Held(const std::shared_ptr<SearchSpace>& held) : space(held), lock(held->module()->lock()) {}
    ~Held() {
      cleanUp([this] { space->weightsChanged(); });
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    std::shared_ptr<SearchSpace> space;
    std::unique_lock<std::recursive_mutex> lock;
  };
  return std::make_shared<Held>(space_);
}

std::vector<std::vector<int64_t>> SupernetLearner::subnets(uint64_t seed) const {
  std::vector<std::vector<int64_t>> all{largest_, settings_.smallest};
  uint64_t drawn = 0;
  for (int64_t r = 0; r < settings_.random; ++r) {
    std::vector<int64_t> values;
    for (const auto& choices : choices_)
      values.push_back(choices[derivedSeed(seed, drawn++) % choices.size()]);
    all.push_back(std::move(values));
  }
  return all;
}

double SupernetLearner::learn(const TrainBatch& batch, uint64_t seed) {
  space_->module()->jit();  // ERR_CLOSED
  double total = 0;
  c10::IValue answer;
  for (const auto& subnet : subnets(seed)) {
    const bool leads = answer.isNone();
    const at::AutoGradMode recording(true);
    const c10::IValue output = space_->forwardInTraining(batch.inputs, subnet, leads);
    const at::Tensor loss = withFailureCode("ERR_SCORE_INPUT", [&] {
      return leads ? objective_.hard(pickedTensor(output, "model", objective_.view()), batch.target)
                   : objective_.of(output, batch.target, answer);
    });
    const double value = loss.item<double>();
    if (!std::isfinite(value)) return value;
    backward(loss);
    total += value;
    if (leads) answer = pickedTensor(output, "model", objective_.view()).detach();
  }
  return total;
}

c10::IValue SupernetLearner::begin(const TrainBatch&) {
  noLossFromElsewhere();
}

double SupernetLearner::finish(double, const at::Tensor&) {
  noLossFromElsewhere();
}

}  // namespace torchsearch

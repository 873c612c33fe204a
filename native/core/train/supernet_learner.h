#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/space/search_space.h"
#include "core/train/learner.h"
#include "core/train/objective.h"

namespace torchsearch {

struct SandwichSettings {
  // `alpha`: the share, in the loss of every subnet but the largest, of the largest one's answers.
  ObjectiveSettings objective;
  int64_t random = 2;             // subnets drawn in each step
  std::vector<int64_t> smallest;  // by hyperparameter; no smaller choice is trained
};

// Learns the shared weights of a search space by the sandwich rule with in-place distillation (Yu and Huang,
// "Universally Slimmable Networks and Improved Training Techniques", ICCV 2019): a batch's gradients are the
// sum of those of the largest subnet, which learns from the targets, of the smallest one and of some drawn
// ones, which learn from the largest one's output in the same step. Only the largest is regularized by
// dropout, and only its batch norms' statistics are averaged (Yu et al., "BigNAS", ECCV 2020).
class SupernetLearner : public Learner {
 public:
  // ERR_CHOICE, ERR_CONFIG_VALUE
  SupernetLearner(std::shared_ptr<SearchSpace> space, SandwichSettings settings);

  std::vector<NamedTensor> parameters() const override { return space_->module()->namedParameters(); }
  std::vector<NamedTensor> buffers() const override { return space_->module()->namedBuffers(); }
  c10::Device device() const override { return space_->device(); }
  void readOutputs(const OutputView& view) override { objective_.readOutputs(view); }
  std::shared_ptr<void> hold() override;
  double learn(const TrainBatch& batch, uint64_t seed) override;

  // What a step with this seed trains: the largest subnet, the smallest one, and those drawn, each choice of
  // each hyperparameter being as likely.
  std::vector<std::vector<int64_t>> subnets(uint64_t seed) const;

  // A loss that is computed elsewhere would have to be asked for once a subnet. ERR_CONFIG_VALUE
  c10::IValue begin(const TrainBatch& batch) override;
  double finish(double loss, const at::Tensor& gradient) override;
  void abandon() override {}

  // Subnets have statistics of their own, see SearchSpace::recalibrate: there is nothing to do for all.
  bool recalibrate(const Inputs&, int64_t) override { return false; }

 private:
  std::shared_ptr<SearchSpace> space_;
  SandwichSettings settings_;
  Objective objective_;
  std::vector<int64_t> largest_;
  std::vector<std::vector<int64_t>> choices_;  // by hyperparameter, those that are trained
};

}  // namespace torchsearch

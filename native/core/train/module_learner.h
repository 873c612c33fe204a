#pragma once

#include <memory>
#include <vector>

#include "core/train/graph_forward.h"
#include "core/train/learner.h"
#include "core/train/objective.h"

namespace torchsearch {

// Runs a teacher, without gradients and in evaluation mode.
class Teacher {
 public:
  // Null for none.
  explicit Teacher(std::shared_ptr<Forwardable> model);

  c10::IValue answer(const Inputs& inputs);  // None without a model
  bool exists() const { return model_ != nullptr; }

 private:
  std::shared_ptr<Forwardable> model_;
  std::shared_ptr<Module> module_;         // where the model is one
  std::unique_ptr<GraphForward> forward_;  // of that module
};

// Learns a module's weights by one forward and one backward a batch.
class ModuleLearner : public Learner {
 public:
  // ERR_FROZEN, ERR_CONFIG_VALUE for an objective without its teacher, ERR_UNSUPPORTED_GRAPH, ERR_CLOSED
  ModuleLearner(std::shared_ptr<Module> module, const ObjectiveSettings& objective,
                std::shared_ptr<Forwardable> teacher);

  std::vector<NamedTensor> parameters() const override { return module_->namedParameters(); }
  std::vector<NamedTensor> buffers() const override { return module_->namedBuffers(); }
  c10::Device device() const override { return module_->device(); }
  void readOutputs(const OutputView& view) override { objective_.readOutputs(view); }
  std::shared_ptr<void> hold() override;
  double learn(const TrainBatch& batch, uint64_t seed) override;
  bool recalibrate(const Inputs& inputs, int64_t batch) override;

  c10::IValue begin(const TrainBatch& batch) override;
  double finish(double loss, const at::Tensor& gradient) override;
  void abandon() override;

 private:
  std::shared_ptr<Module> module_;
  Objective objective_;
  Teacher teacher_;
  GraphForward forward_;

  struct Pending {
    at::Tensor output;
    c10::IValue answer;                                      // the teacher's
    std::vector<std::pair<at::Tensor, at::Tensor>> buffers;  // and what they were
  };
  std::unique_ptr<Pending> pending_;
};

}  // namespace torchsearch

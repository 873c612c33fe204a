#pragma once

#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/model/module.h"

namespace torchsearch {

enum class OptimizerKind : uint8_t { kAdamw, kSgd };

struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::kAdamw;
  double weightDecay = 0.01;
  // Whether weight decay also pulls at biases and the scales and shifts of norms: parameters of at most one
  // dimension.
  bool decayVectors = false;
  double momentum = 0.9;  // kSgd
  bool nesterov = false;  // kSgd
  double beta1 = 0.9;     // kAdamw
  double beta2 = 0.999;   // kAdamw
  double epsilon = 1e-8;  // kAdamw
};

// LibTorch's SGD or AdamW over named parameters, with a state that can be taken out and put back.
class Optimizer {
 public:
  Optimizer(const OptimizerSettings& settings, std::vector<NamedTensor> parameters);
  ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  const std::vector<NamedTensor>& parameters() const { return parameters_; }

  // Changes the parameters by the gradients they hold; those without one stay.
  void step(double learningRate);
  void dropGradients();

  // Scales all gradients so that their common Euclidean norm is at most `most`, as
  // torch.nn.utils.clip_grad_norm_ does. What the norm was.
  double clipGradients(double most);

  // The tensors that the next step goes on from, not copied: "NAME.momentum_buffer", or "NAME.exp_avg",
  // "NAME.exp_avg_sq" and "NAME.step".
  std::vector<NamedTensor> state() const;
  // Copies them back. ERR_CHECKPOINT_KEYS where one belongs to no parameter.
  void load(const std::vector<NamedTensor>& state);

 private:
  struct Engine;
  std::vector<NamedTensor> parameters_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace torchsearch

#include "core/train/optimizer.h"

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <map>
#include <utility>

#include "core/base/error.h"

namespace torchsearch {

using torch::optim::AdamW;
using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;
using torch::optim::OptimizerParamGroup;
using torch::optim::SGD;
using torch::optim::SGDOptions;
using torch::optim::SGDParamState;

// What of the optimizer is LibTorch's own, kept out of the header for its size.
struct Optimizer::Engine {
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  bool sgd = false;
};

Optimizer::~Optimizer() = default;

Optimizer::Optimizer(const OptimizerSettings& settings, std::vector<NamedTensor> parameters)
    : parameters_(std::move(parameters)), engine_(std::make_unique<Engine>()) {
  std::vector<at::Tensor> decayed;
  std::vector<at::Tensor> free;
  for (const auto& [name, tensor] : parameters_) {
    (settings.decayVectors || tensor.dim() > 1 ? decayed : free).push_back(tensor);
  }
  const std::vector<OptimizerParamGroup> groups{OptimizerParamGroup(decayed), OptimizerParamGroup(free)};
  // Options are set in the groups themselves: what a constructor makes of two sets differs between versions.
  const auto configure = [&](auto& optimizer, auto set) {
    for (size_t g = 0; g < 2; ++g) set(optimizer.param_groups()[g], g == 0 ? settings.weightDecay : 0.0);
  };
  if (settings.kind == OptimizerKind::kSgd) {
    engine_->sgd = true;
    auto optimizer = std::make_unique<SGD>(groups, SGDOptions(1));
    configure(*optimizer, [&](OptimizerParamGroup& group, double decay) {
      auto options = std::make_unique<SGDOptions>(1);
      options->momentum(settings.momentum).nesterov(settings.nesterov).weight_decay(decay);
      group.set_options(std::move(options));
    });
    engine_->optimizer = std::move(optimizer);
  } else {
    auto optimizer = std::make_unique<AdamW>(groups, AdamWOptions(1));
    configure(*optimizer, [&](OptimizerParamGroup& group, double decay) {
      auto options = std::make_unique<AdamWOptions>(1);
      options->betas(std::make_tuple(settings.beta1, settings.beta2))
          .eps(settings.epsilon)
          .weight_decay(decay);
      group.set_options(std::move(options));
    });
    engine_->optimizer = std::move(optimizer);
  }
}

void Optimizer::step(double learningRate) {
  for (auto& group : engine_->optimizer->param_groups()) group.options().set_lr(learningRate);
  engine_->optimizer->step();
}

void Optimizer::dropGradients() {
  for (auto& parameter : parameters_) parameter.tensor.mutable_grad().reset();
}

double Optimizer::clipGradients(double most) {
  const at::NoGradGuard noGrad;
  std::vector<at::Tensor> norms;
  for (const auto& parameter : parameters_) {
    const at::Tensor& gradient = parameter.tensor.grad();
    if (gradient.defined()) norms.push_back(at::linalg_vector_norm(gradient, 2));
  }
  if (norms.empty()) return 0;
  const double norm = at::linalg_vector_norm(at::stack(norms), 2).item<double>();
  const double factor = most / (norm + 1e-6);
  if (factor >= 1) return norm;
  for (const auto& parameter : parameters_) {
    if (parameter.tensor.grad().defined()) parameter.tensor.grad().mul_(factor);
  }
  return norm;
}

std::vector<NamedTensor> Optimizer::state() const {
  std::vector<NamedTensor> tensors;
  const auto& states = engine_->optimizer->state();
  for (const auto& [name, tensor] : parameters_) {
    const auto found = states.find(tensor.unsafeGetTensorImpl());
    if (found == states.end()) continue;
    if (engine_->sgd) {
      const at::Tensor& buffer = static_cast<const SGDParamState&>(*found->second).momentum_buffer();
      if (buffer.defined()) tensors.push_back({name + ".momentum_buffer", buffer});
    } else {
      const auto& state = static_cast<const AdamWParamState&>(*found->second);
      tensors.push_back({name + ".exp_avg", state.exp_avg()});
      tensors.push_back({name + ".exp_avg_sq", state.exp_avg_sq()});
      tensors.push_back({name + ".step", at::scalar_tensor(state.step(), at::kLong)});
    }
  }
  return tensors;
}

void Optimizer::load(const std::vector<NamedTensor>& state) {
  std::map<std::string, at::Tensor> given;
  for (const auto& item : state) given.emplace(item.name, item.tensor);
  size_t used = 0;
  const auto take = [&](const std::string& name, const at::Tensor& like) {
    const auto found = given.find(name);
    if (found == given.end()) return at::Tensor();
    ++used;
    return found->second.to(like.device()).clone();
  };
  auto& states = engine_->optimizer->state();
  states.clear();
  for (const auto& [name, tensor] : parameters_) {
    if (engine_->sgd) {
      at::Tensor buffer = take(name + ".momentum_buffer", tensor);
      if (!buffer.defined()) continue;
      auto own = std::make_unique<SGDParamState>();
      own->momentum_buffer(std::move(buffer));
      states[tensor.unsafeGetTensorImpl()] = std::move(own);
    } else {
      at::Tensor step = take(name + ".step", at::Tensor(at::empty({0})));
      at::Tensor mean = take(name + ".exp_avg", tensor);
      at::Tensor square = take(name + ".exp_avg_sq", tensor);
      if (!step.defined() || !mean.defined() || !square.defined()) continue;
      auto own = std::make_unique<AdamWParamState>();
      own->step(step.item<int64_t>());
      own->exp_avg(std::move(mean));
      own->exp_avg_sq(std::move(square));
      states[tensor.unsafeGetTensorImpl()] = std::move(own);
    }
  }
  if (used != given.size()) {
    throw Error("ERR_CHECKPOINT_KEYS",
                "The checkpoint holds the state of another optimizer or of other parameters. Go on with the "
                "options it was made with, or name another file.");
  }
}

}  // namespace torchsearch

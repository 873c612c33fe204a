#include "core/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

#include "core/base/cleanup.h"
#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/evaluation/batch_stream.h"
#include "core/evaluation/evaluate.h"
#include "core/train/step_random.h"

namespace torchsearch {

namespace {

std::vector<NamedTensor> chosen(const std::vector<NamedTensor>& all, const std::vector<std::string>& names) {
  std::vector<NamedTensor> floats;
  for (const auto& item : all) {
    if (item.tensor.is_floating_point()) floats.push_back(item);
  }
  std::vector<NamedTensor> found;
  if (names.empty()) {
    for (const auto& item : floats) {
      if (item.tensor.requires_grad()) found.push_back(item);
    }
    if (found.empty()) found = floats;
  } else {
    for (const auto& item : floats) {
      if (std::find(names.begin(), names.end(), item.name) != names.end()) found.push_back(item);
    }
  }
  if (found.empty()) {
    throw Error(
        "ERR_NO_PARAMETERS",
        "There are no weights to train: the module's are quantized or were made constants by freezing, or "
        "`trainable` chose none.");
  }
  for (const auto& item : found) {
    const auto type = item.tensor.scalar_type();
    if (type == at::kFloat || type == at::kDouble) continue;
    throw Error("ERR_DTYPE", "The weight '" + item.name + "' is " + c10::toString(type) +
                                 ", in which the small changes of training are lost. Export the model with "
                                 "float32 weights, train that, and convert it afterwards.");
  }
  return found;
}

[[noreturn]] void notFinite(const std::string& what) {
  throw Error("ERR_LOSS_NAN",
              what +
                  " Lower the learning rate or give warm-up steps, set clipNorm (1, say), and "
                  "check the data for NaN and infinity.");
}

void put(const std::vector<NamedTensor>& targets, const std::map<std::string, at::Tensor>& given,
         const std::string& prefix) {
  const at::NoGradGuard noGrad;
  for (const auto& [name, tensor] : targets) {
    const auto found = given.find(prefix + name);
    if (found == given.end() || found->second.sizes() != tensor.sizes() ||
        found->second.scalar_type() != tensor.scalar_type()) {
      throw Error("ERR_CHECKPOINT_KEYS", "The checkpoint has no weights that fit '" + name +
                                             "': it belongs to another model. Name another file.");
    }
  }
  for (const auto& [name, tensor] : targets) at::Tensor(tensor.detach()).copy_(given.at(prefix + name));
}

}  // namespace

// Outside of steps the module's own flags hold, so that nothing that runs meanwhile records a graph.
class Trainer::Gradients {
 public:
  explicit Gradients(Trainer& trainer) : trainer_(trainer) {
    for (const auto& item : trainer.learner_->parameters()) {
      flags_.emplace_back(item.tensor, item.tensor.requires_grad());
      if (item.tensor.is_floating_point()) set(item.tensor, false);
    }
    for (const auto& item : trainer.trained()) set(item.tensor, true);
  }
  ~Gradients() {
    for (const auto& item : flags_) cleanUp([&] { set(item.first, item.second); });
    cleanUp([this] { trainer_.optimizer_->dropGradients(); });
  }
  Gradients(const Gradients&) = delete;
  Gradients& operator=(const Gradients&) = delete;

 private:
  static void set(const at::Tensor& tensor, bool flag) {
    if (tensor.requires_grad() != flag) tensor.set_requires_grad(flag);
  }

  Trainer& trainer_;
  std::vector<std::pair<at::Tensor, bool>> flags_;
};

Trainer::Trainer(std::shared_ptr<Learner> learner, const TrainSettings& settings)
    : learner_(std::move(learner)), settings_(settings) {
  optimizer_ =
      std::make_unique<Optimizer>(settings.optimizer, chosen(learner_->parameters(), settings.trainable));
  if (settings_.shards > 1)
    sharded_ = std::make_unique<ShardedStep>(*learner_, trained(), settings_.shards, nullptr);
}

void Trainer::share(std::unique_ptr<Exchange> exchange) {
  if (sharded_ == nullptr) {
    throw Error("ERR_CONFIG_VALUE",
                "Batches in one shard can't be shared among ranks: set dataShards to their number at least.");
  }
  exchange_ = std::move(exchange);
  sharded_ = std::make_unique<ShardedStep>(*learner_, trained(), settings_.shards, exchange_.get());
}

std::vector<NamedTensor> Trainer::weights() const {
  std::vector<NamedTensor> all = learner_->parameters();
  for (auto& buffer : learner_->buffers()) all.push_back(std::move(buffer));
  return all;
}

uint64_t Trainer::stepSeed() const {
  return derivedSeed(settings_.seed, static_cast<uint64_t>(status_.steps));
}

double Trainer::changeWeights(double loss) {
  const int64_t step = status_.steps;
  if (!std::isfinite(loss)) {
    notFinite("The loss of step " + std::to_string(step + 1) + " is not a finite number.");
  }
  if (settings_.clipNorm > 0 && !std::isfinite(optimizer_->clipGradients(settings_.clipNorm))) {
    notFinite("The gradients of step " + std::to_string(step + 1) + " are not finite numbers.");
  }
  const double rate = settings_.schedule.at(step);
  optimizer_->step(rate);
  optimizer_->dropGradients();
  const std::lock_guard guard(statusMutex_);
  status_ = {step + 1, loss, rate};
  return loss;
}

double Trainer::stepHeld(const TrainBatch& batch, const CancelToken& cancel) {
  const uint64_t seed = stepSeed();
  double loss = 0;
  if (sharded_ != nullptr) {
    loss = sharded_->learn(batch, seed, status_.steps, cancel);
  } else {
    const StepRandom random(seed, learner_->device());
    loss = learner_->learn(batch, seed);
  }
  return changeWeights(loss);
}

double Trainer::step(const TrainBatch& batch, const CancelToken& cancel) {
  const auto held = learner_->hold();
  const Gradients gradients(*this);
  return stepHeld(batch, cancel);
}

c10::IValue Trainer::begin(const TrainBatch& batch) {
  if (sharded_ != nullptr) {
    throw Error("ERR_CONFIG_VALUE",
                "A loss that is computed elsewhere is one of the whole batch: set dataShards to 1, or take a "
                "built-in loss.");
  }
  const auto held = learner_->hold();
  const Gradients gradients(*this);
  const StepRandom random(stepSeed(), learner_->device());
  return learner_->begin(batch);
}

double Trainer::finish(double loss, const at::Tensor& gradient) {
  const auto held = learner_->hold();
  const Gradients gradients(*this);
  return changeWeights(learner_->finish(loss, gradient));
}

void Trainer::abandon() {
  const auto held = learner_->hold();
  learner_->abandon();
}

StretchResult Trainer::run(const Dataset& dataset, const TrainStretch& stretch, const CancelToken& cancel,
                           const ProgressFn& progress) {
  requireBatchIndices(dataset, stretch.inputs, stretch.target);
  if (dataset.batches() == 0)
    throw Error("ERR_EMPTY_LOADER", "The loader gives no batch; check the data and dropLast.");
  at::Tensor order;
  if (stretch.shuffledEpoch) {
    order = dataset.randomOrder(derivedSeed(~settings_.seed, static_cast<uint64_t>(*stretch.shuffledEpoch)));
  }
  const auto held = learner_->hold();
  const Gradients gradients(*this);
  const auto start = std::chrono::steady_clock::now();
  StretchResult result;
  const int64_t end = std::min(stretch.first + stretch.count, dataset.batches());
  BatchStream stream(dataset,
                     {stretch.inputs, stretch.target, learner_->device(), order, stretch.first, end});
  for (int64_t i = stretch.first; i < end && !cancel.cancelled(); ++i) {
    const auto tensors = stream.next();
    TrainBatch batch;
    for (const int64_t index : stretch.inputs) batch.inputs.args.emplace_back(tensors[index]);
    if (stretch.target >= 0) batch.target = tensors[stretch.target];
    try {
      result.losses.push_back(stepHeld(batch, cancel));
    } catch (const Error& error) {
      if (error.code() == "ERR_ABORTED") break;  // the steps before it count
      throw;
    }
    result.samples += dataset.batchSamples(i);
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (progress) progress({i + 1, dataset.batches(), ""});
    if (stretch.seconds >= 0 && result.seconds >= stretch.seconds) break;
  }
  return result;
}

TrainStatus Trainer::status() const {
  const std::lock_guard guard(statusMutex_);
  return status_;
}

void Trainer::keep() {
  const auto held = learner_->hold();
  const at::NoGradGuard noGrad;
  std::vector<NamedTensor> copies;
  for (const auto& [name, tensor] : weights()) {
    if (tensor.is_floating_point() && !tensor.isfinite().all().item<bool>()) {
      notFinite("The weights '" + name + "' have come to hold numbers that are not finite.");
    }
    copies.push_back({name, tensor.detach().clone()});
  }
  kept_ = std::move(copies);
}

bool Trainer::restoreKept() {
  if (kept_.empty()) return false;
  const auto held = learner_->hold();
  std::map<std::string, at::Tensor> given;
  for (const auto& [name, tensor] : kept_) given.emplace(name, tensor);
  put(weights(), given, "");
  return true;
}

std::vector<NamedTensor> Trainer::state() const {
  const auto held = learner_->hold();
  const at::NoGradGuard noGrad;
  std::vector<NamedTensor> all;
  const auto add = [&](const std::string& prefix, const std::vector<NamedTensor>& tensors) {
    for (const auto& [name, tensor] : tensors) {
      all.push_back(
          {prefix + name, tensor.detach().to(at::kCPU, /*non_blocking=*/false, /*copy=*/true).contiguous()});
    }
  };
  add("weights/", weights());
  add("optimizer/", optimizer_->state());
  add("kept/", kept_);
  return all;
}

void Trainer::load(const std::vector<NamedTensor>& state, int64_t steps) {
  const auto held = learner_->hold();
  std::map<std::string, at::Tensor> given;
  std::vector<NamedTensor> optimizer;
  bool hasKept = false;
  for (const auto& [name, tensor] : state) {
    given.emplace(name, tensor);
    if (name.rfind("optimizer/", 0) == 0) optimizer.push_back({name.substr(10), tensor});
    hasKept = hasKept || name.rfind("kept/", 0) == 0;
  }
  const std::vector<NamedTensor> own = weights();
  optimizer_->load(optimizer);
  put(own, given, "weights/");
  kept_.clear();
  if (hasKept) {
    for (const auto& [name, tensor] : own) kept_.push_back({name, tensor.detach().clone()});
    put(kept_, given, "kept/");
  }
  const std::lock_guard guard(statusMutex_);
  status_ = {steps, 0, steps > 0 ? settings_.schedule.at(steps - 1) : 0};
}

int64_t Trainer::recalibrate(const Dataset& dataset, const std::vector<int64_t>& inputs, int64_t maxBatches,
                             const CancelToken& cancel, const ProgressFn& progress) {
  LoopOptions options;
  options.inputs = inputs;
  options.maxBatches = maxBatches;
  options.device = learner_->device();
  int64_t batches = 0;
  forEachBatch(
      dataset, options,
      [&](const Inputs& batch, const at::Tensor&) {
        batches += learner_->recalibrate(batch, batches) ? 1 : 0;
      },
      cancel, progress);
  return batches;
}

}  // namespace torchsearch

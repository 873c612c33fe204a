#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/device/tensor_memory.h"
#include "core/evaluation/loss.h"
#include "core/importance/importance.h"
#include "core/importance/slice_sums.h"

namespace torchsearch {

namespace {

std::string moduleOf(const std::string& parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string::npos ? "" : parameter.substr(0, dot);
}

// A parameter whose gradient is wanted: an alias of its weights, so that the module's own requires_grad and
// grad stay as they are.
struct Leaf {
  SlotId slot;
  at::Tensor tensor;
};

// |sum of w * dL/dw over a channel's slice|, the first-order change of the loss when the channel is scaled
// (Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, with the absolute value
// in place of the square), summed over batches. A module's parameters along their first dimension - weight
// and bias, or scale and shift - are one contribution: together they are its output channel.
//
// Of order 2, the second-order change: the sum of h w^2 / 2 over the slice, where h is the diagonal of the
// Hessian (LeCun, Denker and Solla, "Optimal Brain Damage", NIPS 1989), here of the empirical Fisher matrix:
// the sum of the squared gradients of the samples' losses. One way back gives the gradient of their sum with
// a random sign each, whose square has that sum as its mean.
class TaylorImportance : public Importance {
 public:
  TaylorImportance(LossKind loss, int order, uint64_t seed)
      : kind_(loss), second_(order == 2), loss_(Loss::make(loss)), random_(seed) {}

  bool needsData() const override { return true; }
  bool needsTarget() const override { return true; }
  void readOutputs(const OutputView& view) override { loss_ = Loss::make(kind_, view); }

  void add(const MeasuredBatch& batch, const CancelToken& cancel) override {
    const Dependencies& dependencies = batch.dependencies;
    Bindings bindings;
    const auto leaves = bindLeaves(batch, bindings);
    if (!leaves.empty()) {
      drawSigns(batch);
      vote(dependencies, leaves, gradients(batch, bindings, leaves, cancel));
    }
    ++batches_;
  }

  ChannelScores scores(const Dependencies& dependencies, const std::vector<at::Tensor>&) const override {
    requireBatches();
    ChannelScores scores = zeroScores(dependencies);
    for (const auto& [voter, vote] : votes_) {
      vote.count("the gradients of " + (voter.first.empty() ? "the model" : "'" + voter.first + "'"), scores);
    }
    return scores;
  }

  // A channel is gone when all that reads it multiplies it by 0: the change of the loss to first order is
  // |sum of w * dL/dw| over the weights that read it, along their second dimension. Where nothing with
  // weights reads a group, those that make it tell.
  ChannelScores absoluteScores(const Dependencies& dependencies) const override {
    requireBatches();
    ChannelScores scores = zeroScores(dependencies);
    for (const ChannelVote* votes : {&made_, &read_}) {
      for (const auto& [group, values] : votes->values()) {
        for (size_t i = 0; i < values.size(); ++i) {
          if (!std::isfinite(values[i])) {
            throw Error(
                "ERR_IMPORTANCE_NAN",
                "A gradient is not a finite number. Check the weights and the data for NaN and infinity.");
          }
          scores[group][i] = values[i] / static_cast<double>(batches_);
        }
      }
    }
    return scores;
  }

 private:
  // Where a vote comes from: a module and 0, or a parameter and a later dimension of it.
  using Voter = std::pair<std::string, int64_t>;

  void requireBatches() const {
    if (batches_ == 0) {
      throw Error("ERR_EMPTY_LOADER", "The loader gave no batch to take gradients on; give it at least one.");
    }
  }

  static std::vector<Leaf> bindLeaves(const MeasuredBatch& batch, Bindings& bindings) {
    const Program& program = batch.dependencies.program();
    bindings.values = batch.values;
    std::vector<Leaf> leaves;
    for (size_t i = 0; i < program.slots.size(); ++i) {
      if (!program.slots[i].isStored()) continue;
      // Also where no gradient is wanted: none is computed then, whatever the module's flags say.
      at::Tensor& value = bindings.values[i];
      value = value.detach();
      if (program.slots[i].kind != Slot::Kind::kParameter || !value.is_floating_point()) continue;
      if (channelDimensions(batch.dependencies, static_cast<SlotId>(i)).empty()) continue;
      value.requires_grad_(true);
      leaves.push_back({static_cast<SlotId>(i), value});
    }
    return leaves;
  }

  struct Gradients {
    std::vector<at::Tensor> values;  // by leaf, times `scale`; undefined where the loss doesn't depend on one
    double scale = 1;

    bool areFinite() const {
      return std::all_of(values.begin(), values.end(), [](const at::Tensor& value) {
        return !value.defined() || value.isfinite().all().item<bool>();
      });
    }
  };

  // The gradients of float16 weights are found from a
  // scaled loss, so that small ones don't vanish (Micikevicius et al., "Mixed Precision Training", ICLR
  // 2018).
  Gradients gradients(const MeasuredBatch& batch, const Bindings& bindings, const std::vector<Leaf>& leaves,
                      const CancelToken& cancel) const {
    const bool half = std::any_of(leaves.begin(), leaves.end(),
                                  [](const Leaf& leaf) { return leaf.tensor.scalar_type() == at::kHalf; });
    for (double scale = half ? 0x1p16 : 1; scale > 1; scale /= 16) {
      const Gradients found = gradientsOf(scale, batch, bindings, leaves, cancel);
      if (found.areFinite()) return found;
    }
    return gradientsOf(1, batch, bindings, leaves, cancel);
  }

  // The graph is freed on the way back through it.
  Gradients gradientsOf(double scale, const MeasuredBatch& batch, const Bindings& bindings,
                        const std::vector<Leaf>& leaves, const CancelToken& cancel) const {
    const TensorMemory::Scope memory;  // of the way back, too
    const at::AutoGradMode recording(true);
    const c10::IValue output = batch.executor.run(bindings, batch.inputs, cancel);
    at::Tensor loss = loss_->of(output, batch.target);
    if (!loss.requires_grad()) {
      throw Error(
          "ERR_GRADIENT",
          "The loss has no gradient: the model's output doesn't depend on its weights through operators "
          "that can be differentiated. Use another importance than \"taylor\".");
    }
    if (!std::isfinite(loss.item<double>())) {
      throw Error("ERR_IMPORTANCE_NAN",
                  "The loss of a batch is not a finite number. Check the data and the weights for NaN and "
                  "infinity, and that the target fits the loss.");
    }
    if (second_) {
      const at::Tensor losses = loss_->ofSamples(output, batch.target);
      loss = (losses * signs_.narrow(0, 0, losses.size(0)).to(losses.device(), losses.scalar_type())).sum();
    }
    cancel.throwIfCancelled();
    std::vector<at::Tensor> tensors;
    for (const Leaf& leaf : leaves) tensors.push_back(leaf.tensor);
    return withFailureCode("ERR_GRADIENT", [&]() -> Gradients {
      return {torch::autograd::grad({scale == 1 ? loss : loss * scale}, tensors, {}, /*retain_graph=*/false,
                                    /*create_graph=*/false, /*allow_unused=*/true),
              scale};
    });
  }

  // One for each sample of a batch, the same whatever the gradients are scaled by.
  void drawSigns(const MeasuredBatch& batch) {
    if (!second_) return;
    const int64_t samples = batch.target.defined() && batch.target.dim() > 0 ? batch.target.size(0) : 1;
    signs_ = at::empty({samples}, at::kFloat);
    float* const signs = signs_.mutable_data_ptr<float>();
    for (int64_t i = 0; i < samples; ++i) signs[i] = (random_() >> 63) != 0 ? 1.0F : -1.0F;
  }

  void vote(const Dependencies& dependencies, const std::vector<Leaf>& leaves, const Gradients& gradients) {
    const at::NoGradGuard noGrad;
    std::map<Voter, ChannelVote> batchVotes;
    ChannelVote made;
    ChannelVote read;
    for (size_t i = 0; i < leaves.size(); ++i) {
      const at::Tensor& gradient = gradients.values[i];
      if (!gradient.defined()) continue;
      const auto& [slot, leaf] = leaves[i];
      const at::Tensor weight = leaf.detach();
      const auto dimensions = channelDimensions(dependencies, slot);
      const auto sums =
          sliceSums(weight.sizes(), weight.device(), dimensions, [&](int64_t begin, at::Tensor& rows) {
            rows.copy_(weight.narrow(0, begin, rows.size(0)));
            rows.mul_(gradient.narrow(0, begin, rows.size(0)));
            if (gradients.scale != 1) rows.div_(gradients.scale);
            if (second_) rows.square_().div_(2);
          });
      const std::string& name = dependencies.program().slots[slot].name;
      for (size_t k = 0; k < dimensions.size(); ++k) {
        const int64_t d = dimensions[k];
        batchVotes[d == 0 ? Voter(moduleOf(name), 0) : Voter(name, d)].add(
            dependencies, dependencies.labels(slot, d), sums[k]);
        if (d <= 1) (d == 0 ? made : read).add(dependencies, dependencies.labels(slot, d), sums[k]);
      }
    }
    for (const auto& [voter, vote] : batchVotes) votes_[voter].addMagnitudes(vote);
    made_.addMagnitudes(made);
    read_.addMagnitudes(read);
  }

  LossKind kind_;
  bool second_;
  std::shared_ptr<const Loss> loss_;
  std::map<Voter, ChannelVote> votes_;
  ChannelVote made_;  // by what a channel comes from
  ChannelVote read_;  // by what reads it
  std::mt19937_64 random_;
  at::Tensor signs_;
  int64_t batches_ = 0;
};

}  // namespace

std::shared_ptr<Importance> makeTaylorImportance(LossKind loss, int order, uint64_t seed) {
  return std::make_shared<TaylorImportance>(loss, order, seed);
}

}  // namespace torchsearch

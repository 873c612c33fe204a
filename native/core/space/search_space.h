#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/progress.h"
#include "core/call/forwardable.h"
#include "core/cost/subnet_costs.h"
#include "core/importance/importance.h"
#include "core/model/module.h"
#include "core/profile/latency.h"
#include "core/profile/latency_table.h"
#include "core/reconstruction/reconstruction.h"
#include "core/space/activation_reuse.h"
#include "core/space/channel_order.h"
#include "core/space/converted_model.h"
#include "core/space/custom_hyperparameter.h"
#include "core/space/graph_constants.h"
#include "core/space/hyperparameter.h"
#include "core/space/recipe.h"
#include "core/space/selection.h"
#include "core/space/shape_program.h"

namespace torchsearch {

struct SpaceOptions {
  int64_t channelDivisor = 8;  // widths are multiples of it, where the full width allows
  bool depth = true;           // whether residual blocks may be left out
};

// A module whose channel widths can be chosen. A subnet is narrow views of the full weights: the first
// channels of each group. `reorder` puts the most important ones there.
class SearchSpace : public Forwardable {
 public:
  // ERR_INPUT, ERR_FORWARD, ERR_DATA_DEPENDENT, ERR_UNSUPPORTED_GRAPH
  static std::shared_ptr<SearchSpace> convert(const std::shared_ptr<Module>& module, const Inputs& dummyInput,
                                              const SpaceOptions& options, const CancelToken& cancel,
                                              const ProgressFn& progress);

  const std::vector<Hyperparameter>& hyperparameters() const { return hyperparameters_; }
  const std::vector<Unprunable>& unprunable() const { return unprunable_; }
  // What exported subnets may be without, a sentence each.
  const std::vector<std::string>& exportLosses() const { return exportLosses_; }
  // The module's methods beside forward and what it calls. ERR_CLOSED
  std::vector<std::string> ownMethods() const;

  // Whose order of channels given tensors are in: the module's before it was converted, or its present one.
  enum class Channels : uint8_t { kOriginal, kPresent };
  // Adds a choice of the user's own, after all others: among these tensors and the module's own, the last
  // choice, in the place of a parameter or buffer. Copies them. At first the module's own is selected.
  // ERR_UNKNOWN_TENSOR, ERR_HYPERPARAMETER; ERR_DATA_DEPENDENT where more than operators' inputs follows from
  // the tensor's values.
  std::shared_ptr<const CustomHyperparameter> addTensors(const std::string& name, const std::string& tensor,
                                                         const std::vector<at::Tensor>& values,
                                                         Channels channels, const CancelToken& cancel);
  // The same among numbers, in the place of constants that have one number now. ERR_UNKNOWN_CONSTANT,
  // ERR_HYPERPARAMETER, also where a number changes a shape or dtype, or the model can't run with it
  std::shared_ptr<const CustomHyperparameter> addNumbers(const std::string& name,
                                                         const std::vector<std::string>& constants,
                                                         const std::vector<double>& numbers,
                                                         const CancelToken& cancel);
  // What addNumbers may change.
  std::vector<GraphConstant> constants() const { return graphConstants(*model_->dependencies); }

  // Active value of each hyperparameter, in their order; of custom ones, which come last, the position of
  // their choice. Wherever values are given, those of custom ones may be left out: they are the model's own.
  std::vector<int64_t> active() const { return wanted_.active(); }
  // ERR_CHOICE when a value is none of its hyperparameter's choices. Drops recalibrated batch-norm
  // statistics.
  void select(const std::vector<int64_t>& values);

  // Runs the active subnet. Inputs may have other batch sizes than the dummy input.
  c10::IValue forward(const Inputs& inputs, const CancelToken& cancel) override;
  // Recalibration ends with the last batch norm.
  void run(const Inputs& inputs, const CancelToken& cancel) override;
  void beginPass() override;
  void endPass() override;
  c10::Device device() const override { return module()->device(); }
  std::shared_ptr<const c10::FunctionSchema> schema() const override { return module()->schema(); }

  // While on, forwards compute batch statistics and average them into the active subnet's own running mean
  // and variance (cumulative average over the batches seen since it was turned on).
  void recalibrate(bool on) { wanted_.recalibrate(on); }

  // Lets forwards keep activations for later candidates, in at most so many bytes; 0 keeps none and frees
  // those that are held. `expect` decides what is kept. See ActivationReuse.
  void reuseActivations(int64_t budget);
  // The subnets that will be selected, in this order; replaces what was expected before. ERR_CHOICE
  void expect(const std::vector<std::vector<int64_t>>& candidates);
  // May be asked at any time.
  ReuseCounters reuse() const { return reuse_.counters(); }

  // A forward of a subnet to be trained, whatever is selected: as the model is written, and with gradients to
  // those of the shared weights that require some. Batch norms take the batch's statistics; only where
  // `leads`, for the full model, do they go into the module's running ones, and does dropout drop. ERR_CHOICE
  c10::IValue forwardInTraining(const Inputs& inputs, const std::vector<int64_t>& values, bool leads);
  // The module's weights were changed in place: forgets what was made of them, recalibrated statistics too.
  void weightsChanged() { wanted_.weightsChanged(); }

  // What a subnet costs, without running anything; see SubnetCosts. ERR_NO_LATENCY_TABLE
  double cost(const std::vector<int64_t>& values, Metric metric) const;

  // Times, in forwards of some subnets on the dummy input, the operators whose latency at up to `points`
  // widths of each hyperparameter `known` lacks, and gives what was measured. Selects nothing.
  LatencyTable measureLatency(const LatencyTable& known, int32_t points, const LatencyOptions& options,
                              const CancelToken& cancel, const ProgressFn& progress);
  // What latencies are computed from; null for nothing. ERR_LATENCY_TABLE_INCOMPLETE
  void useLatencyTable(const LatencyTable* table) { costs_->useLatencyTable(table); }
  // Milliseconds of whole forwards of some subnets, with weights of their own as exported ones have; selects
  // nothing.
  std::vector<double> timeSubnets(const std::vector<std::vector<int64_t>>& subnets,
                                  const LatencyOptions& options, const CancelToken& cancel,
                                  const ProgressFn& progress);

  // Adds a batch to a measure: runs the whole model on it, whatever is selected. Throws what the measure
  // throws.
  void measure(Measure& measure, const Inputs& inputs, const at::Tensor& target, const CancelToken& cancel);

  // Finds the layers that the active subnet narrows; `measure` then lets it learn from batches.
  void findNarrowedLayers(Reconstruction& reconstruction, const CancelToken& cancel);
  // Gives the active subnet weights of its own in those layers whose inputs were gathered. They hold until
  // another subnet is selected, and are exported with it; recalibrated batch-norm statistics are dropped.
  // ERR_BUSY where another subnet was selected since; what Reconstruction::solve throws
  std::vector<ReconstructedLayer> reconstruct(Reconstruction& reconstruction, double damping,
                                              const CancelToken& cancel);

  // By group, in the order that the channels have now. ERR_IMPORTANCE_NAN, ERR_EMPTY_LOADER
  ChannelScores scores(const Importance& importance) const;

  // What each hyperparameter's channels run through, see structuresOf; empty for one that counts none.
  std::vector<std::string> structures() const;

  // As `scores`, comparable over groups. ERR_CONFIG_VALUE, ERR_EMPTY_LOADER, ERR_IMPORTANCE_NAN
  ChannelScores absoluteScores(const Importance& importance) const {
    return importance.absoluteScores(*model_->dependencies);
  }

  // Reorders the module's channels in place, the most important of each group first, which changes no output
  // of the whole model beyond rounding. Drops recalibrated batch-norm statistics. Gives a digest of the order
  // (SHA-256, hexadecimal), relative to the one before. ERR_IMPORTANCE_NAN, ERR_EMPTY_LOADER
  std::string reorder(const Importance& importance);
  // Puts the channels back into the order that the module had, exactly.
  void restoreOrder();

  // The active subnet as a module of its own, with copied, really smaller weights.
  // Checked against the subnet on the dummy input. ERR_EXPORT, ERR_EXPORT_CONFLICT, ERR_EXPORT_MISMATCH
  std::shared_ptr<Module> exportSubnet();

  // How the active subnet comes of the model, and what it gives for some inputs. ERR_RECIPE
  Recipe recipe();

  const std::shared_ptr<Module>& module() const { return model_->module; }

 private:
  explicit SearchSpace(std::shared_ptr<const ConvertedModel> model);

  Subnet subnetOf(const std::vector<int64_t>& values) const;
  std::vector<Subnet> subnetsOf(const std::vector<std::vector<int64_t>>& values) const;
  std::shared_ptr<const CustomHyperparameter> add(CustomHyperparameter valid);
  void adoptSelection();
  void permute(const ChannelOrder& order);
  SubnetTensors ownTensors() const;
  bool reusesActivations() const { return reuse_.isOn() && weights_.empty(); }
  void adoptBudget();
  void checkWeights() { reuse_.checkWeights(module()->jit(), programs_); }
  c10::IValue forward(const Inputs& inputs, const CancelToken& cancel, bool effectsOnly);
  c10::IValue runSelection(const Inputs& inputs, const CancelToken& cancel, bool effectsOnly = false);
  void bind(ShapeProgram& entry);
  Bindings bindWhole(ShapeProgram& entry);
  void prepareReuse(ShapeProgram& entry);
  std::vector<at::Tensor> subnetOutputs(const Inputs& inputs);
  void verify(Module& subnet);

  // Whatever runs, or changes the members that runs use, holds the module's lock first and then this one.
  mutable std::recursive_mutex mutex_;
  std::shared_ptr<const ConvertedModel> model_;
  std::vector<Hyperparameter> hyperparameters_;
  std::vector<Unprunable> unprunable_;
  std::vector<std::string> exportLosses_;
  std::optional<SubnetCosts> costs_;  // set by convert
  ChannelOrder order_;                // the channels' places before `reorder` came first; empty until then
  ShapePrograms programs_;

  WantedSelection wanted_;
  Selection current_;         // what runs
  SubnetTensors statistics_;  // of the active subnet
  SubnetTensors weights_;     // likewise, of reconstructed layers
  int64_t recalibrationBatches_ = 0;
  ActivationReuse reuse_;
  bool inPass_ = false;
};

}  // namespace torchsearch

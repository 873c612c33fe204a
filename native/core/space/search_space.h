#pragma once

#include <torch/script.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/progress.h"
#include "core/call/forwardable.h"
#include "core/cost/cost_model.h"
#include "core/cost/latency_model.h"
#include "core/cost/memory_model.h"
#include "core/cost/operator_shape.h"
#include "core/forward/activation_cache.h"
#include "core/forward/executor.h"
#include "core/forward/weight_cache.h"
#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"
#include "core/importance/importance.h"
#include "core/model/module.h"
#include "core/profile/latency.h"
#include "core/profile/latency_table.h"
#include "core/space/channel_order.h"
#include "core/space/custom_hyperparameter.h"
#include "core/space/graph_constants.h"

namespace torchsearch {

struct SpaceOptions {
  int64_t channelDivisor = 8;  // widths are multiples of it, where the full width allows
  bool depth = true;           // whether residual blocks may be left out
};

// What can be chosen: a width, of channels that must be kept or dropped together over every parameter they
// touch; or whether a residual block is there.
struct Hyperparameter {
  // A width: path of the first module whose output it is, "layer1.0.conv1". A block: its name and ".depth".
  std::string name;
  // "out_channels" (of a convolution), "hidden_width" (features of a linear layer),
  // "num_heads" (of an attention), "depth"
  std::string kind;
  std::vector<int64_t> choices;  // ascending; the last one is the full model's. Of a block: 0, 1
  int64_t full = 0;
  int32_t group = -1;  // of a width, in Dependencies::groups
  int32_t block = -1;  // of a depth, in ResidualBlocks::blocks
  int32_t begins = 0;  // the first instruction on the dummy input that it changes

  bool offers(int64_t value) const;
};

// What keeping activations has spared so far.
struct ReuseCounters {
  int64_t budget = 0;   // bytes that may be held; 0 while nothing is kept
  int64_t bytes = 0;    // held now
  int64_t peak = 0;     // the most that was held
  int64_t entries = 0;  // checkpoints held now
  int64_t forwards = 0;
  int64_t hits = 0;  // forwards that went on from a checkpoint
  int64_t instructionsRun = 0;
  int64_t instructionsSkipped = 0;
  double multiplyAddsRun = 0;
  double multiplyAddsSkipped = 0;
};

// A line for each dimension that stays whole, and the operator that is why.
struct Unprunable {
  std::string parameter;
  int32_t dimension = 0;
  std::string reason;
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
  std::vector<GraphConstant> constants() const { return graphConstants(*dependencies_); }

  // Active value of each hyperparameter, in their order; of custom ones, which come last, the position of
  // their choice. Wherever values are given, those of custom ones may be left out: they are the model's own.
  std::vector<int64_t> active() const;
  // ERR_CHOICE when a value is none of its hyperparameter's choices. Drops recalibrated batch-norm
  // statistics.
  void select(const std::vector<int64_t>& widths);

  // Runs the active subnet. Inputs may have other batch sizes than the dummy input.
  c10::IValue forward(const Inputs& inputs, const CancelToken& cancel) override;
  // Recalibration ends with the last batch norm.
  void run(const Inputs& inputs, const CancelToken& cancel) override;
  void beginPass() override;
  void endPass() override;
  c10::Device device() const override { return module_->device(); }
  std::shared_ptr<const c10::FunctionSchema> schema() const override { return module_->schema(); }

  // While on, forwards compute batch statistics and average them into the active subnet's own running mean
  // and variance (cumulative average over the batches seen since it was turned on).
  void recalibrate(bool on);

  // Lets forwards keep activations for later candidates, in at most so many bytes; 0 keeps none and frees
  // those that are held. What is kept is told by `expect`. Outputs and statistics are, bit by bit, those that
  // full forwards give: what is skipped has run on the same contents of inputs, weights and statistics.
  void reuseActivations(int64_t budget);
  // The subnets that will be selected, in this order; replaces what was expected before. ERR_CHOICE
  void expect(const std::vector<std::vector<int64_t>>& candidates);
  // May be asked at any time.
  ReuseCounters reuse() const;

  // A forward of a subnet to be trained, whatever is selected: as the model is written, and with gradients to
  // those of the shared weights that require some. Batch norms take the batch's statistics; only where
  // `leads`, for the full model, do they go into the module's running ones, and does dropout drop. ERR_CHOICE
  c10::IValue forwardInTraining(const Inputs& inputs, const std::vector<int64_t>& values, bool leads);
  // The module's weights were changed in place: forgets what was made of them, recalibrated statistics too.
  void weightsChanged();

  // "params", "macs", "flops", "size" (bytes), "memory" (bytes) or "latency" (milliseconds) of a subnet,
  // without running anything. ERR_UNKNOWN_METRIC; ERR_NO_LATENCY_TABLE
  double cost(const std::vector<int64_t>& widths, const std::string& metric) const;

  // Times, in forwards of some subnets on the dummy input, the operators whose latency at up to `points`
  // widths of each hyperparameter `known` lacks, and gives what was measured. Selects nothing.
  LatencyTable measureLatency(const LatencyTable& known, int32_t points, const LatencyOptions& options,
                              const CancelToken& cancel, const ProgressFn& progress);
  // What "latency" is computed from; null for nothing. ERR_LATENCY_TABLE_INCOMPLETE
  void useLatencyTable(const LatencyTable* table);
  // Milliseconds of whole forwards of some subnets, with weights of their own as exported ones have; selects
  // nothing.
  std::vector<double> timeSubnets(const std::vector<std::vector<int64_t>>& subnets,
                                  const LatencyOptions& options, const CancelToken& cancel,
                                  const ProgressFn& progress);
  // Adds a batch to a measure of importance: runs the whole model on it, whatever is selected. What it throws
  // Importance::add tells.
  void measure(Importance& importance, const Inputs& inputs, const at::Tensor& target,
               const CancelToken& cancel);

  // By group, in the order that the channels have now. ERR_IMPORTANCE_NAN, ERR_EMPTY_LOADER
  ChannelScores scores(const Importance& importance) const;

  // As `scores`, comparable over groups. ERR_CONFIG_VALUE, ERR_EMPTY_LOADER, ERR_IMPORTANCE_NAN
  ChannelScores absoluteScores(const Importance& importance) const {
    return importance.absoluteScores(*dependencies_);
  }

  // Reorders the module's channels in place, the most important of each group first, which changes no output
  // of the whole model beyond rounding. Drops recalibrated batch-norm statistics. Gives a digest of the order
  // (SHA-256, hexadecimal), relative to the one before. ERR_IMPORTANCE_NAN, ERR_EMPTY_LOADER
  std::string reorder(const Importance& importance);

  // The active subnet as a module of its own, with copied, really smaller weights.
  // Checked against the subnet on the dummy input. ERR_EXPORT, ERR_EXPORT_CONFLICT, ERR_EXPORT_MISMATCH
  std::shared_ptr<Module> exportSubnet();

  const std::shared_ptr<Module>& module() const { return module_; }

 private:
  struct ShapeProgram;  // one recorded program per input shape
  struct Subnet {
    std::vector<int64_t> widths;  // by group
    std::vector<bool> kept;       // by residual block
    CustomChoice custom;

    bool operator==(const Subnet& other) const {
      return widths == other.widths && kept == other.kept && custom == other.custom;
    }
  };

  SearchSpace() = default;
  void findHyperparameters(int64_t divisor);
  void findBlocks();
  std::vector<std::string> groupKinds() const;
  void findUnprunable();
  Subnet subnetOf(const std::vector<int64_t>& values) const;
  CustomChoice customChoiceOf(const std::vector<int64_t>& values) const;
  std::shared_ptr<const CustomHyperparameters> customs() const;
  void requireFree(const CustomHyperparameter& wanted) const;
  void requireSameComputation(const CustomHyperparameter& wanted, const at::Tensor& own,
                              const CancelToken& cancel);
  void requireSameShapes(const CustomHyperparameter& wanted, const CancelToken& cancel);
  std::shared_ptr<const CustomHyperparameter> add(CustomHyperparameter wanted);
  ShapeProgram& programFor(const Inputs& inputs, const CancelToken& cancel);
  c10::IValue forward(const Inputs& inputs, const CancelToken& cancel, bool effectsOnly);
  c10::IValue runSelection(const Inputs& inputs, const CancelToken& cancel, bool effectsOnly = false);
  void bind(ShapeProgram& entry);
  void setMomenta(ShapeProgram& entry) const;
  std::vector<bool> keptIn(const ShapeProgram& entry, const std::vector<bool>& blocks) const;
  void orderHyperparameters();
  void adoptBudget(int64_t budget);
  void checkWeights();
  void prepareReuse(ShapeProgram& entry);
  void readStatistics(ShapeProgram& entry) const;
  c10::IValue runReusing(ShapeProgram& entry, const std::vector<at::Tensor>& inputs, int32_t stopBefore,
                         const CancelToken& cancel);
  void publishCounters();
  void tryPrepared(ShapeProgram& entry, const Bindings& prepared, bool recalibrates, const Inputs& inputs,
                   const CancelToken& cancel);
  void verify(Module& subnet);
  at::Tensor narrowed(const Dependencies& dependencies, SlotId slot, const at::Tensor& tensor,
                      const std::vector<int64_t>& widths) const;
  // The same, of which gradients reach the tensor.
  static at::Tensor narrowView(const Dependencies& dependencies, SlotId slot, const at::Tensor& tensor,
                               const std::vector<int64_t>& widths);
  std::vector<int64_t> smallestWidths() const;
  Bindings separateBindings(const std::vector<int64_t>& widths) const;

  mutable std::recursive_mutex mutex_;
  std::shared_ptr<Module> module_;
  std::shared_ptr<InlinedGraph> graph_;
  std::shared_ptr<const Program> program_;            // at the dummy input's shape
  std::shared_ptr<const Dependencies> dependencies_;  // of that program
  ResidualBlocks blocks_;                             // of the same program; empty when depth is not offered
  Inputs dummyInput_;
  std::vector<Hyperparameter> hyperparameters_;
  std::vector<Unprunable> unprunable_;
  CostModel costs_;
  std::optional<MemoryModel> memory_;  // set by convert
  std::vector<OperatorShape> shapes_;
  // What runs under each different condition on the blocks; null without a table.
  std::shared_ptr<const std::vector<std::pair<Condition, LatencyModel>>> latency_;
  ChannelOrder order_;  // the channels' places before `reorder` came first; empty until then
  std::map<std::string, std::shared_ptr<ShapeProgram>> programs_;  // by input shapes
  std::shared_ptr<WeightCache> weights_;                           // prepared, of all programs

  // What the caller asked for last, under a lock of its own: selecting never waits for a running forward,
  // which goes on with what was selected when it began.
  struct Selection {
    std::vector<int64_t> active;  // by hyperparameter
    Subnet subnet;
    bool recalibrating = false;
    int64_t version = 0;     // counts changes, so that bindings made for an earlier selection are remade
    int64_t statistics = 0;  // counts how often recalibrated statistics were dropped
    std::shared_ptr<const std::vector<Subnet>> expected;
    size_t next = 0;          // in `expected`
    int64_t cacheBudget = 0;  // bytes
  };
  void adoptSelection();

  mutable std::mutex wantedMutex_;
  Selection wanted_;
  std::shared_ptr<const CustomHyperparameters> customs_;  // replaced, never changed; null for none
  Selection current_;                                     // what runs; under mutex_
  std::map<std::string, at::Tensor> statistics_;  // recalibrated buffers of the active subnet, by name
  int64_t recalibrationBatches_ = 0;

  ActivationCache cache_;  // under mutex_, as the following
  ReuseCounters counters_;
  Digest weightsDigest_;  // of those that the cache is for
  bool inPass_ = false;
  mutable std::mutex countersMutex_;
  ReuseCounters published_;
};

}  // namespace torchsearch

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/call/forwardable.h"
#include "core/graph/inlined_graph.h"
#include "core/layers/input_products.h"
#include "core/layers/weight_matrix.h"
#include "core/model/module.h"
#include "core/sparsity/mask.h"
#include "core/sparsity/sparse_gpt.h"

namespace torchsearch {

class WeightTracker;

// A weight that can be made sparse: of a convolution, a linear layer or a product with a matrix.
struct SparseLayer {
  std::string parameter;  // path, "layer1.0.conv1.weight"
  WeightMatrix matrix;
  std::vector<int64_t> shape;  // the parameter's
  int64_t elements = 0;
  int64_t runLength = 0;     // see WeightMatrix
  int64_t macs = 0;          // multiply-adds with it on the dummy input
  int64_t productBytes = 0;  // that its InputProducts take
  int64_t uses = 0;          // operators of a forward that multiply by it
};

// A parameter of two or more dimensions that stays as it is, and why.
struct DenseParameter {
  std::string parameter;
  std::string reason;
};

// What became of a layer.
struct SparseOutcome {
  int64_t kept = 0;             // elements that stay
  std::optional<double> error;  // outputError, where the layer's inputs were seen
  int64_t dead = 0;             // inputs that were always zero, if any were seen
};

// A copy of a module whose weights can be made sparse, layer by layer, each from the weights that the module
// had when it was converted. Runs in evaluation mode. Calls are serialized.
class SparseSpace : public Forwardable {
 public:
  // Runs the module once on the dummy input to see which parameters are weights of layers. ERR_INPUT,
  // ERR_FORWARD, ERR_NO_PARAMETERS, ERR_UNSUPPORTED_GRAPH
  static std::shared_ptr<SparseSpace> convert(const std::shared_ptr<Module>& module, const Inputs& dummyInput,
                                              const CancelToken& cancel);

  const std::vector<SparseLayer>& layers() const { return layers_; }  // in the order in which they run
  const std::vector<DenseParameter>& denseParameters() const { return denseParameters_; }

  // Runs the sparse model, and gathers the inputs of layers while `collect` is on.
  c10::IValue forward(const Inputs& inputs, const CancelToken& cancel) override;
  c10::Device device() const override { return sparse_->device(); }
  std::shared_ptr<const c10::FunctionSchema> schema() const override { return sparse_->schema(); }

  struct Collection {
    std::vector<int32_t> layers;
    // Run the model as sparse as it is by now, rather than the dense one.
    bool sequential = false;
    // End a forward, with no output, as soon as all of `layers` have run as often as on the dummy input.
    bool stopEarly = false;
  };
  // From now on forwards add the inputs of some layers to what is known of them, which begins as nothing.
  void collect(Collection collection);
  void stopCollecting();

  // How many of the `keep` largest magnitudes over several layers together each of them has.
  std::vector<int64_t> globalCounts(const std::vector<int32_t>& layers, int64_t keep) const;

  // Make a layer sparse. ERR_WEIGHT_NAN; ERR_HESSIAN, ERR_ABORTED. The inputs seen are forgotten, where
  // `forget` says so.
  SparseOutcome magnitude(int32_t layer, const SparsityPlan& plan, bool forget);
  SparseOutcome sparseGpt(int32_t layer, const SparsityPlan& plan, const SparseGptOptions& options,
                          bool forget, const CancelToken& cancel);
  // Back to the dense weights: one layer, or all and what is known of their inputs.
  void makeDense(int32_t layer);
  void reset();

  // What `magnitude` and `sparseGpt` made; the mask is boolean, undefined for a dense layer. And how to put
  // it back.
  at::Tensor weight(int32_t layer) const;
  at::Tensor mask(int32_t layer) const;
  void restore(int32_t layer, const at::Tensor& weight, const at::Tensor& mask);

  // The sparse model: with masks that its forward multiplies by (see withMasks), or with plain weights that
  // have zeros. Its densities and its outputs on the dummy input are checked. ERR_EXPORT,
  // ERR_EXPORT_MISMATCH, ERR_SPARSITY_MISMATCH
  std::shared_ptr<Module> exportModule(bool masks) const;

 private:
  class Collector;
  struct Seen;
  SparseSpace() = default;
  void findLayers(const CancelToken& cancel);
  void adoptLayers(Seen& seen, const WeightTracker& tracker);
  void checkPlan(int32_t layer, const SparsityPlan& plan) const;
  at::Tensor matrix(int32_t layer) const;  // of the dense weights; ERR_WEIGHT_NAN
  SparseOutcome adopt(int32_t layer, const SparseWeights& weights, const at::Tensor& dense, bool forget);
  void verify(Module& exported) const;

  mutable std::recursive_mutex mutex_;
  bool training_ = false;
  std::shared_ptr<Module> dense_;   // as converted; own copies of all tensors
  std::shared_ptr<Module> sparse_;  // another copy
  std::shared_ptr<InlinedGraph> graph_;
  Inputs dummyInput_;
  std::vector<SparseLayer> layers_;
  std::vector<DenseParameter> denseParameters_;
  std::vector<at::Tensor> denseWeights_;  // by layer
  std::vector<at::Tensor> weights_;       // of sparse_, likewise
  std::vector<at::Tensor> masks_;         // undefined for a dense layer
  std::optional<Collection> collection_;
  std::map<int32_t, InputProducts> products_;  // by layer
};

}  // namespace torchsearch

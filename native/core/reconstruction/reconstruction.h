#pragma once

#include <torch/script.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/importance/measure.h"
#include "core/layers/input_products.h"
#include "core/layers/weight_matrix.h"

namespace torchsearch {

// A layer of which a subnet keeps some inputs only: a convolution of one group, a linear layer or a product
// with a matrix. Nothing but layers alike reads its weight, nor its bias.
struct NarrowedLayer {
  std::string weight;  // path
  std::string bias;    // path; empty where it has none of its own
  WeightMatrix matrix;
  std::vector<int64_t> rows;    // outputs that stay
  std::vector<int64_t> inputs;  // channels that stay
  int64_t productBytes = 0;     // that its InputProducts take
};

// What a run of the whole model does with its parameters.
struct ModuleUses;

// What became of one.
struct ReconstructedLayer {
  std::string weight;
  double before = 0;  // share of the full layer's outputs, in squares, that the subnet's layer missed
  double after = 0;   // and misses now; see leastSquares
};

// Learns, from batches that the whole model runs on, weights of a subnet's layers that make up for the inputs
// which it lacks. Any thread, one at a time.
class Reconstruction : public Measure {
 public:
  // `keeps`: what was gathered serves one subnet after the other, of the same module and weights.
  explicit Reconstruction(bool keeps = false) : keeps_(keeps) {}

  // Finds the layers that a subnet of these widths narrows, by a run of the whole model. `excluded`: weights
  // that stay as they are. ERR_FORWARD, ERR_ABORTED
  void find(const torch::jit::Module& module, const MeasuredBatch& batch, const std::vector<int64_t>& widths,
            const std::set<std::string>& excluded, const CancelToken& cancel);

  // In the order in which they run; and the widths that they are of.
  std::vector<NarrowedLayer> layers() const;
  std::vector<int64_t> widths() const;

  // From now on `add` gathers the inputs of these, of which nothing is known yet. ERR_ARGUMENT
  void collect(const std::vector<int64_t>& layers);

  bool needsOperators() const override { return true; }
  // ERR_ACTIVATION_NAN names the layer.
  void add(const MeasuredBatch& batch, const CancelToken& cancel) override;

  struct Outcome {
    std::vector<ReconstructedLayer> layers;
    std::map<std::string, at::Tensor> tensors;  // the subnet's weights and biases, by path
  };
  // Of the layers whose inputs were gathered, which are forgotten then unless they are kept.
  // ERR_EMPTY_LOADER, ERR_ABORTED between layers
  Outcome solve(double damping, const CancelToken& cancel);

 private:
  const bool keeps_;
  std::shared_ptr<const ModuleUses> analysis_;
  mutable std::mutex mutex_;
  torch::jit::Module module_;
  std::vector<NarrowedLayer> layers_;
  std::vector<int64_t> widths_;
  std::map<std::string, InputProducts> products_;  // by weight
};

}  // namespace torchsearch

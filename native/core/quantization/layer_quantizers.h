#pragma once

#include <torch/script.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "core/quantization/activation_range.h"
#include "core/quantization/fake_quantize.h"
#include "core/quantization/layer_hook.h"
#include "core/quantization/number_format.h"
#include "core/quantization/quantizable_layers.h"

namespace torchsearch {

inline constexpr int64_t kUnquantized = -1;

// The quantizers of every layer in every format, made when first needed.
class LayerQuantizers {
 public:
  LayerQuantizers(std::vector<QuantLayer> layers, std::vector<LayerFormat> formats);

  const std::vector<QuantLayer>& layers() const { return layers_; }
  const std::vector<LayerFormat>& formats() const { return formats_; }

  // Adds what a layer reads to what is known of it.
  void observe(size_t layer, const at::Tensor& input) { observed_[layer].add(input); }
  // Forgets what was observed and concluded.
  void forgetActivations();

  // The ends of each layer's activations in each format, in this order; NaN where a format has none.
  // ERR_NOT_CALIBRATED, ERR_CALIBRATION_NAN
  std::vector<double> activationEnds();
  // Takes such ends instead of observing. ERR_CONFIG_VALUE for a wrong number of them.
  void setActivationEnds(const std::vector<double>& ends);

  const QuantParameters& activationGrid(size_t layer, size_t format);
  // Of a layer's weight, which is the same at every call until `forgetWeights`.
  const QuantParameters& weightGrid(size_t layer, size_t format, const at::Tensor& weight);
  // The module's weights are others than before.
  void forgetWeights();

  // Replaces a layer's two factors among its operator's arguments; null changes nothing.
  void quantize(size_t layer, int64_t format, torch::jit::Stack& stack);

 private:
  struct Quantized {
    int64_t format = kUnquantized;
    at::Tensor values;
  };

  const at::Tensor& quantizedWeight(size_t layer, size_t format, const at::Tensor& weight);
  std::pair<double, double>& endsOf(size_t layer, size_t format);

  std::vector<QuantLayer> layers_;
  std::vector<LayerFormat> formats_;
  std::vector<ActivationRange> observed_;                     // by layer
  std::vector<std::vector<std::pair<double, double>>> ends_;  // by layer and format; NaN: not known yet
  std::vector<std::vector<QuantParameters>> activations_;     // likewise; undefined scale: not made yet
  std::vector<std::vector<QuantParameters>> weights_;         // likewise
  std::vector<Quantized> quantized_;                          // by layer: in the format used last
};

// Each layer in a format, or kUnquantized.
class QuantizeHook : public LayerHook {
 public:
  QuantizeHook(LayerQuantizers& quantizers, std::vector<int64_t> formats)
      : quantizers_(quantizers), formats_(std::move(formats)) {}

  void call(size_t layer, torch::jit::Stack& stack, torch::jit::Operation& run) override {
    if (formats_[layer] != kUnquantized) quantizers_.quantize(layer, formats_[layer], stack);
    run(stack);
  }

 private:
  LayerQuantizers& quantizers_;
  std::vector<int64_t> formats_;  // by layer
};

// Remembers what each layer reads.
class ObserveHook : public LayerHook {
 public:
  explicit ObserveHook(LayerQuantizers& quantizers) : quantizers_(quantizers) {}

  void call(size_t layer, torch::jit::Stack& stack, torch::jit::Operation& run) override {
    quantizers_.observe(layer, stack[quantizers_.layers()[layer].inputArgument].toTensor());
    run(stack);
  }

 private:
  LayerQuantizers& quantizers_;
};

}  // namespace torchsearch

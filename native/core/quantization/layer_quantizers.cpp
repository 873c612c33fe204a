#include "core/quantization/layer_quantizers.h"

#include <ATen/ATen.h>

#include <cmath>
#include <string>

#include "core/base/error.h"

namespace torchsearch {

namespace {

const std::pair<double, double> kUnknown = {std::nan(""), std::nan("")};

}  // namespace

LayerQuantizers::LayerQuantizers(std::vector<QuantLayer> layers, std::vector<LayerFormat> formats)
    : layers_(std::move(layers)), formats_(std::move(formats)) {
  forgetWeights();
  forgetActivations();
}

void LayerQuantizers::forgetWeights() {
  weights_.assign(layers_.size(), std::vector<QuantParameters>(formats_.size()));
  quantized_.assign(layers_.size(), Quantized());
}

void LayerQuantizers::forgetActivations() {
  observed_.assign(layers_.size(), ActivationRange());
  ends_.assign(layers_.size(), std::vector<std::pair<double, double>>(formats_.size(), kUnknown));
  activations_.assign(layers_.size(), std::vector<QuantParameters>(formats_.size()));
}

std::pair<double, double>& LayerQuantizers::endsOf(size_t layer, size_t format) {
  auto& ends = ends_[layer][format];
  if (std::isnan(ends.first)) ends = observed_[layer].endsFor(*formats_[format].activation);
  return ends;
}

std::vector<double> LayerQuantizers::activationEnds() {
  std::vector<double> all;
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    for (size_t format = 0; format < formats_.size(); ++format) {
      const auto ends = formats_[format].activation ? endsOf(layer, format) : kUnknown;
      all.push_back(ends.first);
      all.push_back(ends.second);
    }
  }
  return all;
}

void LayerQuantizers::setActivationEnds(const std::vector<double>& ends) {
  if (ends.size() != 2 * layers_.size() * formats_.size()) {
    throw Error("ERR_CONFIG_VALUE", "Expected two ends for each of " + std::to_string(layers_.size()) +
                                        " layers in each of " + std::to_string(formats_.size()) +
                                        " formats but received " + std::to_string(ends.size()) + " numbers.");
  }
  forgetActivations();
  size_t next = 0;
  for (auto& byFormat : ends_) {
    for (auto& pair : byFormat) {
      pair = {ends[next], ends[next + 1]};
      next += 2;
    }
  }
}

const QuantParameters& LayerQuantizers::activationGrid(size_t layer, size_t format) {
  auto& grid = activations_[layer][format];
  if (!grid.scale.defined()) {
    const auto& [low, high] = endsOf(layer, format);
    grid = gridOver(*formats_[format].activation, at::full({1}, low, at::kFloat),
                    at::full({1}, high, at::kFloat));
  }
  return grid;
}

const QuantParameters& LayerQuantizers::weightGrid(size_t layer, size_t format, const at::Tensor& weight) {
  auto& grid = weights_[layer][format];
  if (!grid.scale.defined()) grid = calibrate(weight, *formats_[format].weight, layers_[layer].axis);
  return grid;
}

const at::Tensor& LayerQuantizers::quantizedWeight(size_t layer, size_t format, const at::Tensor& weight) {
  auto& known = quantized_[layer];
  if (known.format != static_cast<int64_t>(format)) {
    const at::NoGradGuard noGrad;
    const auto& grid = weightGrid(layer, format, weight);
    known = {static_cast<int64_t>(format), fakeQuantize(weight.detach(), *formats_[format].weight, grid)};
  }
  return known.values;
}

void LayerQuantizers::quantize(size_t layer, int64_t format, torch::jit::Stack& stack) {
  const auto place = static_cast<size_t>(format);
  if (formats_[place].weight) {
    auto& weight = stack[layers_[layer].weightArgument];
    weight = quantizedWeight(layer, place, weight.toTensor());
  }
  if (formats_[place].activation) {
    auto& input = stack[layers_[layer].inputArgument];
    const auto& grid = activationGrid(layer, place);
    input = fakeQuantize(input.toTensor(), *formats_[place].activation, grid);
  }
}

}  // namespace torchsearch

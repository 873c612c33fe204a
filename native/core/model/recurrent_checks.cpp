#include "core/model/recurrent_checks.h"

#include <ATen/ops/lstm_native.h>
#include <torch/library.h>

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

namespace torchsearch {

namespace {

constexpr const char* kRemedy = "Give the model inputs whose sizes fit each other and its weights.";

using Result = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// How the layers of one call are made.
struct Layers {
  int64_t count = 0;
  bool bidirectional = false;
  bool hasBiases = false;
  int64_t directions() const { return bidirectional ? 2 : 1; }
};

void expect(const std::string& what, const at::Tensor& tensor, at::IntArrayRef sizes) {
  TORCH_CHECK(tensor.sizes() == sizes, "An LSTM expects ", what, " of size ", sizes, ", not ", tensor.sizes(),
              ". ", kRemedy);
}

// Weights of each layer and direction: of the input, of the state, their biases, and a projection's.
void checkWeights(at::TensorList weights, const Layers& layers, int64_t features, int64_t units,
                  int64_t outputs) {
  const size_t each = 2 + (layers.hasBiases ? 2 : 0) + (outputs != units ? 1 : 0);
  const auto cells = static_cast<size_t>(layers.count * layers.directions());
  TORCH_CHECK(weights.size() == each * cells, "An LSTM of this kind expects ", each * cells, " weights, not ",
              weights.size());
  for (size_t cell = 0; cell < cells; ++cell) {
    const bool first = cell < static_cast<size_t>(layers.directions());
    const at::Tensor* own = weights.data() + cell * each;
    expect("the weights for the input", own[0],
           {4 * units, first ? features : outputs * layers.directions()});
    expect("the weights for the state", own[1], {4 * units, outputs});
    for (size_t bias = 2; layers.hasBiases && bias < 4; ++bias) expect("a bias", own[bias], {4 * units});
    if (outputs != units) expect("a projection's weights", own[each - 1], {outputs, units});
  }
}

void check(const at::Tensor& input, int64_t batch, at::TensorList states, at::TensorList weights,
           const Layers& layers) {
  TORCH_CHECK(states.size() == 2, "lstm expects two hidden states");
  TORCH_CHECK(!weights.empty() && weights[0].dim() == 2 && states[0].dim() == 3 && states[1].dim() == 3,
              "An LSTM expects states of three dimensions and weights of two");
  const int64_t units = weights[0].size(0) / 4;
  const int64_t outputs = weights.size() > 1 && weights[1].dim() == 2 ? weights[1].size(1) : units;
  const int64_t cells = layers.count * layers.directions();
  const int64_t features = weights[0].size(1);
  TORCH_CHECK(input.size(-1) == features, "An LSTM expects an input of ", features, " features, not ",
              input.size(-1), ". ", kRemedy);
  expect("hidden[0]", states[0], {cells, batch, outputs});
  expect("hidden[1]", states[1], {cells, batch, units});
  checkWeights(weights, layers, features, units, outputs);
}

Result lstm(const at::Tensor& input, at::TensorList states, at::TensorList weights, bool hasBiases,
            int64_t count, double dropout, bool train, bool bidirectional, bool batchFirst) {
  TORCH_CHECK(input.dim() == 3, "An LSTM expects an input of three dimensions, not ", input.sizes());
  check(input, input.size(batchFirst ? 0 : 1), states, weights, {count, bidirectional, hasBiases});
  return at::native::lstm(input, states, weights, hasBiases, count, dropout, train, bidirectional,
                          batchFirst);
}

// Sequences of several lengths, one after the other; the first step has all of them.
Result packedLstm(const at::Tensor& data, const at::Tensor& batchSizes, at::TensorList states,
                  at::TensorList weights, bool hasBiases, int64_t count, double dropout, bool train,
                  bool bidirectional) {
  TORCH_CHECK(data.dim() == 2 && batchSizes.dim() == 1 && batchSizes.numel() > 0,
              "An LSTM expects a packed sequence, not ", data.sizes(), " with ", batchSizes.sizes());
  check(data, batchSizes[0].item<int64_t>(), states, weights, {count, bidirectional, hasBiases});
  return at::native::lstm(data, batchSizes, states, weights, hasBiases, count, dropout, train, bidirectional);
}

}  // namespace

void checkRecurrentCalls() {
  static std::once_flag once;
  std::call_once(once, [] {
    // PyTorch composes the operator of others, so its own kernel serves below the check for both keys: with
    // autograd, and without it in inference mode. They stay for the process's lifetime.
    static std::vector<std::unique_ptr<torch::Library>> libraries;
    for (const auto key : {c10::DispatchKey::CPU, c10::DispatchKey::AutogradCPU}) {
      libraries.push_back(
          std::make_unique<torch::Library>(torch::Library::IMPL, "aten", key, __FILE__, __LINE__));
      libraries.back()->impl("lstm.input", TORCH_FN(lstm));
      libraries.back()->impl("lstm.data", TORCH_FN(packedLstm));
    }
  });
}

}  // namespace torchsearch

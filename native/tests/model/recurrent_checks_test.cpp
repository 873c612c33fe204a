#include "core/model/recurrent_checks.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/script.h>

#include <string>
#include <vector>

#include "tests/support/doctest.h"

namespace torchsearch::testing {

namespace {

constexpr int64_t kFeatures = 3;
constexpr int64_t kUnits = 4;

// Two layers in both directions; `source` calls torch.lstm.
torch::jit::Module recurrent(const std::string& call) {
  torch::manual_seed(3);
  torch::jit::Module module("m");
  std::string names;
  for (int64_t cell = 0; cell < 4; ++cell) {
    const std::vector<std::vector<int64_t>> sizes = {
        {4 * kUnits, cell < 2 ? kFeatures : 2 * kUnits}, {4 * kUnits, kUnits}, {4 * kUnits}, {4 * kUnits}};
    for (size_t w = 0; w < sizes.size(); ++w) {
      const std::string name = "w" + std::to_string(cell) + std::to_string(w);
      module.register_parameter(name, at::randn(sizes[w]) * 0.4, false);
      names += (names.empty() ? "self." : ", self.") + name;
    }
  }
  std::string source = call;
  source.replace(source.find("WEIGHTS"), 7, "[" + names + "]");
  module.define(source);
  return module;
}

at::Tensor weight(const torch::jit::Module& module, int64_t cell, int64_t which) {
  return module.attr("w" + std::to_string(cell) + std::to_string(which)).toTensor();
}

// One layer in one direction by the cell's equations (Hochreiter and Schmidhuber, 1997; with forget gates,
// Gers et al., 2000). Steps come first.
at::Tensor layer(const torch::jit::Module& module, int64_t cell, const at::Tensor& input, at::Tensor h,
                 at::Tensor c) {
  std::vector<at::Tensor> outputs(input.size(0));
  const bool backwards = cell % 2 == 1;
  for (int64_t k = 0; k < input.size(0); ++k) {
    const int64_t step = backwards ? input.size(0) - 1 - k : k;
    const auto gates = (at::linear(input[step], weight(module, cell, 0), weight(module, cell, 2)) +
                        at::linear(h, weight(module, cell, 1), weight(module, cell, 3)))
                           .chunk(4, -1);
    c = gates[1].sigmoid() * c + gates[0].sigmoid() * gates[2].tanh();
    h = gates[3].sigmoid() * c.tanh();
    outputs[step] = h;
  }
  return at::stack(outputs);
}

const char* const kCall = R"JIT(
def forward(self, x, h, c):
    return torch.lstm(x, [h, c], WEIGHTS, True, 2, 0.0, False, True, False)[0]
)JIT";

std::string failure(torch::jit::Module& module, const std::vector<torch::jit::IValue>& inputs) {
  try {
    module.forward(inputs);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("an LSTM gives what its equations give, with and without gradients, after its calls are checked") {
  checkRecurrentCalls();
  auto module = recurrent(kCall);
  const at::Tensor x = at::randn({5, 2, kFeatures});
  const at::Tensor h = at::randn({4, 2, kUnits});
  const at::Tensor c = at::randn({4, 2, kUnits});
  at::Tensor expected = x;
  for (const int64_t first : {0, 2}) {
    expected = at::cat({layer(module, first, expected, h[first], c[first]),
                        layer(module, first + 1, expected, h[first + 1], c[first + 1])},
                       -1);
  }
  CHECK(at::allclose(module.forward({x, h, c}).toTensor(), expected, 1e-4, 1e-5));
  {
    const at::NoGradGuard noGrad;
    CHECK(at::allclose(module.forward({x, h, c}).toTensor(), expected, 1e-4, 1e-5));
  }
  {
    const c10::InferenceMode inference;
    CHECK(at::allclose(module.forward({x, h, c}).toTensor(), expected, 1e-4, 1e-5));
  }
  for (at::Tensor parameter : module.parameters()) parameter.set_requires_grad(true);
  module.forward({x, h, c}).toTensor().square().sum().backward();
  const at::Tensor gradient = weight(module, 2, 1).grad().clone();
  at::Tensor below = at::cat({layer(module, 0, x, h[0], c[0]), layer(module, 1, x, h[1], c[1])}, -1);
  at::Tensor above = at::cat({layer(module, 2, below, h[2], c[2]), layer(module, 3, below, h[3], c[3])}, -1);
  const auto right = torch::autograd::grad({above.square().sum()}, {weight(module, 2, 1)});
  CHECK(at::allclose(gradient, right[0], 1e-3, 1e-4));
}

TEST_CASE("an LSTM whose sizes don't fit fails with a sentence instead of writing beyond its memory") {
  checkRecurrentCalls();
  const auto sized = [](std::vector<int64_t> sizes) { return at::randn(sizes); };
  struct Case {
    at::Tensor x, h, c;
    std::string message;
  };
  const std::vector<Case> cases = {
      {sized({5, 2, 3}), sized({4, 1, 4}), sized({4, 1, 4}),
       "An LSTM expects hidden[0] of size [4, 2, 4], not [4, 1, 4]"},
      {sized({5, 2, 3}), sized({4, 2, 4}), sized({4, 1, 4}),
       "An LSTM expects hidden[1] of size [4, 2, 4], not [4, 1, 4]"},
      {sized({5, 2, 3}), sized({4, 3, 4}), sized({4, 3, 4}), "expects hidden[0]"},
      {sized({5, 2, 3}), sized({4, 2, 3}), sized({4, 2, 3}), "expects hidden[0]"},
      {sized({5, 2, 3}), sized({2, 2, 4}), sized({2, 2, 4}), "expects hidden[0]"},
      {sized({5, 2, 3}), sized({5, 2, 4}), sized({5, 2, 4}), "expects hidden[0]"},
      {sized({5, 2, 2}), sized({4, 2, 4}), sized({4, 2, 4}), "An LSTM expects an input of 3 features, not 2"},
      {sized({5, 3}), sized({4, 2, 4}), sized({4, 2, 4}), "three dimensions"},
  };
  auto module = recurrent(kCall);
  for (const auto& test : cases) {
    for (int repeat = 0; repeat < 3;
         ++repeat) {  // the executor's first calls run another graph than later ones
      CHECK(failure(module, {test.x, test.h, test.c}).find(test.message) != std::string::npos);
    }
  }
  auto packed = recurrent(R"JIT(
def forward(self, x, sizes, h, c):
    return torch.lstm(x, sizes, [h, c], WEIGHTS, True, 2, 0.0, False, True)[0]
)JIT");
  const at::Tensor steps = at::tensor({2, 2, 1}, at::kLong);
  CHECK(failure(packed, {sized({5, 3}), steps, sized({4, 2, 4}), sized({4, 2, 4})}).empty());
  CHECK(failure(packed, {sized({5, 3}), steps, sized({4, 1, 4}), sized({4, 1, 4})}).find("hidden[0]") !=
        std::string::npos);
  // A file may hold weights that don't fit each other.
  module.setattr("w21", at::randn({4 * kUnits, kUnits + 1}));
  CHECK(failure(module, {sized({5, 2, 3}), sized({4, 2, 4}), sized({4, 2, 4})})
            .find("An LSTM expects the weights for the state of size [16, 4], not [16, 5]") !=
        std::string::npos);
}

}  // namespace torchsearch::testing

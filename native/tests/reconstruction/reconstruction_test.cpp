#include "core/reconstruction/reconstruction.h"

#include <ATen/ATen.h>

#include "core/base/error.h"
#include "core/reconstruction/least_squares.h"
#include "core/space/search_space.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

const at::TensorOptions kDoubles = at::TensorOptions().dtype(at::kDouble);

at::Tensor productsOf(const at::Tensor& inputs) {
  return at::matmul(inputs.t(), inputs) / static_cast<double>(inputs.size(0));
}

torch::jit::Module twoLayers(const std::string& second) {
  torch::manual_seed(5);
  torch::jit::Module module("m");
  module.register_parameter("first", at::randn({8, 6}), false);
  module.register_parameter("second", at::randn({4, 8}), false);
  module.register_parameter("bias", at::randn({4}), false);
  module.define("def forward(self, x):\n    y = torch.linear(x, self.first)\n" + second);
  return module;
}

std::shared_ptr<SearchSpace> convert(const torch::jit::Module& module, const at::Tensor& input) {
  SpaceOptions options;
  options.channelDivisor = 1;
  return SearchSpace::convert(std::make_shared<Module>(module), positional({input}), options, CancelToken(),
                              {});
}

std::vector<ReconstructedLayer> reconstruct(SearchSpace& space, const at::Tensor& inputs, double damping) {
  Reconstruction reconstruction;
  space.findNarrowedLayers(reconstruction, CancelToken());
  std::vector<int64_t> all;
  for (size_t i = 0; i < reconstruction.layers().size(); ++i) all.push_back(static_cast<int64_t>(i));
  reconstruction.collect(all);
  space.measure(reconstruction, positional({inputs}), {}, CancelToken());
  return space.reconstruct(reconstruction, damping, CancelToken());
}

double missed(const at::Tensor& wanted, const at::Tensor& got) {
  return ((wanted - got).square().sum() / wanted.square().sum()).item<double>();
}

}  // namespace

TEST_CASE("least squares are what LibTorch's own solver finds") {
  torch::manual_seed(2);
  const at::Tensor inputs = at::matmul(at::randn({200, 6}, kDoubles), at::randn({6, 6}, kDoubles));
  const at::Tensor matrix = at::randn({3, 6}, kDoubles);
  const at::Tensor kept = at::tensor({0, 2, 3}, at::kLong);
  const at::Tensor outputs = at::matmul(inputs, matrix.t());
  const at::Tensor some = inputs.index_select(1, kept);

  const auto found = leastSquares(matrix, productsOf(inputs), {}, kept, 0);
  const at::Tensor expected = std::get<0>(at::linalg_lstsq(some, outputs, std::nullopt, std::nullopt)).t();
  CHECK(at::allclose(found.weights, expected, 1e-8, 1e-9));
  CHECK(found.after == doctest::Approx(missed(outputs, at::matmul(some, expected.t()))));
  const at::Tensor plain = matrix.index_select(1, kept);
  CHECK(found.before == doctest::Approx(missed(outputs, at::matmul(some, plain.t()))));
  CHECK_FALSE(found.shift.defined());
}

TEST_CASE("with means, the bias is fitted too") {
  torch::manual_seed(3);
  const at::Tensor inputs = at::randn({300, 5}, kDoubles) + at::arange(5, kDoubles);
  const at::Tensor matrix = at::randn({2, 5}, kDoubles);
  const at::Tensor kept = at::tensor({1, 2}, at::kLong);
  const at::Tensor outputs = at::matmul(inputs, matrix.t());
  const at::Tensor some = at::cat({inputs.index_select(1, kept), at::ones({300, 1}, kDoubles)}, 1);
  const at::Tensor expected = std::get<0>(at::linalg_lstsq(some, outputs, std::nullopt, std::nullopt)).t();

  const auto found = leastSquares(matrix, productsOf(inputs), inputs.mean(0), kept, 0);
  CHECK(at::allclose(found.weights, expected.narrow(1, 0, 2), 1e-8, 1e-8));
  CHECK(at::allclose(found.shift, expected.select(1, 2), 1e-8, 1e-8));
  CHECK(found.after == doctest::Approx(missed(outputs, at::matmul(some, expected.t()))));
}

TEST_CASE("much damping, and inputs that are always zero, leave the weights as they are") {
  torch::manual_seed(4);
  const at::Tensor matrix = at::randn({3, 4}, kDoubles);
  const at::Tensor kept = at::tensor({0, 1}, at::kLong);
  const at::Tensor plain = matrix.index_select(1, kept);
  const at::Tensor products = productsOf(at::randn({50, 4}, kDoubles));
  CHECK(at::allclose(leastSquares(matrix, products, {}, kept, 1e12).weights, plain, 1e-6, 1e-6));
  CHECK(at::equal(leastSquares(matrix, at::zeros({4, 4}, kDoubles), {}, kept, 0.01).weights, plain));
  const at::Tensor dead = at::diag(at::tensor({0, 0, 1, 1}, kDoubles));
  CHECK(at::equal(leastSquares(matrix, dead, {}, kept, 0.01).weights, plain));
}

TEST_CASE("a subnet's layer makes up for inputs that follow from the others") {
  const std::string second = "    return torch.linear(y, self.second, self.bias)\n";
  const auto module = twoLayers(second);
  const at::Tensor inputs = at::randn({64, 6});
  const auto space = convert(module, inputs);
  const at::Tensor full = space->forward(positional({inputs}), CancelToken()).toTensor();
  space->select({6});
  const at::Tensor before = space->forward(positional({inputs}), CancelToken()).toTensor();
  CHECK(missed(full, before) > 1e-3);

  const auto layers = reconstruct(*space, inputs, 1e-9);
  REQUIRE(layers.size() == 1);
  CHECK(layers[0].weight == "second");
  // Eight hidden channels of six inputs: six of them tell all eight.
  const at::Tensor after = space->forward(positional({inputs}), CancelToken()).toTensor();
  CHECK(missed(full, after) < 1e-8);
  const auto subnet = space->exportSubnet();
  CHECK(at::allclose(subnet->forward(positional({inputs}), CancelToken()).toTensor(), after, 1e-4, 1e-5));

  // Averaging statistics keeps them; another selection, and the same anew, has the full model's weights.
  space->recalibrate(true);
  space->recalibrate(false);
  CHECK(at::equal(space->forward(positional({inputs}), CancelToken()).toTensor(), after));
  space->select({6});
  CHECK(at::allclose(space->forward(positional({inputs}), CancelToken()).toTensor(), before, 1e-5, 1e-6));
}

TEST_CASE("kernels' positions are inputs of their own") {
  torch::manual_seed(6);
  torch::jit::Module module("m");
  module.register_parameter("first", at::randn({6, 3, 1, 1}), false);
  module.register_parameter("second", at::randn({4, 6, 3, 3}), false);
  module.define(R"JIT(
def forward(self, x):
    return torch.conv2d(torch.conv2d(x, self.first), self.second, None, [1, 1], [1, 1])
)JIT");
  const at::Tensor inputs = at::randn({4, 3, 7, 7});
  const auto space = convert(module, inputs);
  const at::Tensor full = space->forward(positional({inputs}), CancelToken()).toTensor();
  space->select({3});
  const auto layers = reconstruct(*space, inputs, 1e-9);
  REQUIRE(layers.size() == 1);
  CHECK(layers[0].before > 0.01);
  CHECK(layers[0].after < 1e-6);
  CHECK(missed(full, space->forward(positional({inputs}), CancelToken()).toTensor()) < 1e-6);
}

TEST_CASE("a weight that something else reads too, and one of a custom choice, stay as they are") {
  const at::Tensor inputs = at::randn({16, 6});
  const auto layersOf = [&](SearchSpace& space, const std::vector<int64_t>& values) {
    space.select(values);
    Reconstruction reconstruction;
    space.findNarrowedLayers(reconstruction, CancelToken());
    std::vector<std::string> names;
    for (const auto& layer : reconstruction.layers()) names.push_back(layer.weight);
    return names;
  };
  const auto read = convert(
      twoLayers(
          "    return torch.linear(y, self.second, self.bias) + torch.linear(y * 2, self.second * 0.5)\n"),
      inputs);
  REQUIRE(read->hyperparameters().size() == 1);
  CHECK(layersOf(*read, {3}).empty());

  const auto chosen = convert(twoLayers("    return torch.linear(y, self.second, self.bias)\n"), inputs);
  chosen->addTensors("other", "second", {at::randn({4, 8})}, SearchSpace::Channels::kPresent, CancelToken());
  CHECK(layersOf(*chosen, {3, 1}) == std::vector<std::string>{"second"});
  CHECK(layersOf(*chosen, {3, 0}).empty());
}

TEST_CASE("a reconstruction is of the subnet that was selected, and of some data") {
  const auto module = twoLayers("    return torch.linear(y, self.second, self.bias)\n");
  const at::Tensor inputs = at::randn({16, 6});
  const auto space = convert(module, inputs);
  space->select({4});
  Reconstruction reconstruction;
  space->findNarrowedLayers(reconstruction, CancelToken());
  reconstruction.collect({0});
  const auto codeOf = [&] {
    try {
      space->reconstruct(reconstruction, 0.01, CancelToken());
    } catch (const Error& error) {
      return error.code();
    }
    return std::string();
  };
  CHECK(codeOf() == "ERR_EMPTY_LOADER");
  space->measure(reconstruction, positional({inputs}), {}, CancelToken());
  space->select({5});
  CHECK(codeOf() == "ERR_BUSY");
  CHECK_THROWS_AS(reconstruction.collect({7}), Error);
}

}  // namespace torchsearch::testing

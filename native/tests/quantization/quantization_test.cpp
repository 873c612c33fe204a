#include <ATen/ATen.h>

#include <cmath>
#include <functional>

#include "core/base/error.h"
#include "core/quantization/activation_range.h"
#include "core/quantization/fake_quantize.h"
#include "core/quantization/quantizable_layers.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

NumberFormat format(Calibration calibration, bool symmetric, double percentile = 99) {
  NumberFormat result;
  result.symmetric = symmetric;
  result.calibration = calibration;
  result.percentile = percentile;
  return result;
}

ActivationRange rangeOf(const std::vector<at::Tensor>& batches) {
  ActivationRange range;
  for (const auto& batch : batches) range.add(batch);
  return range;
}

}  // namespace

TEST_CASE("a range learnt in batches does not depend on their order, and is the whole's") {
  torch::manual_seed(3);
  std::vector<at::Tensor> batches;
  for (const double scale : {0.001, 5.0, 0.2, 100.0, 1.0}) batches.push_back(at::randn({500}) * scale);
  const at::Tensor all = at::cat(batches);
  const auto forward = rangeOf(batches);
  const auto backward = rangeOf({batches.rbegin(), batches.rend()});
  const auto whole = rangeOf({all});
  for (const auto calibration :
       {Calibration::kMax, Calibration::kPercentile, Calibration::kMeanSquaredError}) {
    for (const bool symmetric : {true, false}) {
      const auto ends = forward.endsFor(format(calibration, symmetric));
      CHECK(ends == backward.endsFor(format(calibration, symmetric)));
      CHECK(ends == whole.endsFor(format(calibration, symmetric)));
    }
  }
  const auto [low, high] = forward.endsFor(format(Calibration::kMax, false));
  CHECK(low == all.min().item<float>());
  CHECK(high == all.max().item<float>());
}

TEST_CASE("quantiles of activations are those of the values, to within a bin") {
  torch::manual_seed(4);
  const at::Tensor values = at::randn({20000}).exp() - 0.5;
  const auto range = rangeOf({values.narrow(0, 0, 7000), values.narrow(0, 7000, 13000)});
  const double bin = std::ldexp(1.0, std::ilogb(values.abs().max().item<float>()) + 1 - 12);
  for (const double percentile : {60.0, 95.0, 99.9}) {
    const auto [low, high] = range.endsFor(format(Calibration::kPercentile, false, percentile));
    // A quantile lies between two neighbouring values, wherever the definition puts it.
    const double spread = percentile > 99 ? 0.5 : 0.02;
    CHECK(std::abs(high - at::quantile(values, percentile / 100).item<float>()) < bin + spread);
    CHECK(std::abs(low - at::quantile(values, 1 - percentile / 100).item<float>()) < bin + 0.02);
    const auto bound = range.endsFor(format(Calibration::kPercentile, true, percentile));
    CHECK(bound.first == -bound.second);
    CHECK(std::abs(bound.second - at::quantile(values.abs(), percentile / 100).item<float>()) < bin + spread);
  }
}

TEST_CASE("the smallest squared error over a histogram is that over the values") {
  torch::manual_seed(5);
  at::Tensor values = at::randn({20000});
  values[7] = 60;  // an outlier that isn't worth its steps
  NumberFormat fine = format(Calibration::kMeanSquaredError, true);
  fine.bits = 4;
  const auto [low, high] = rangeOf({values}).endsFor(fine);
  const QuantParameters found =
      gridOver(fine, at::full({1}, low, at::kFloat), at::full({1}, high, at::kFloat));
  const QuantParameters exact = calibrate(values, fine, 0);
  CHECK(std::abs(found.scale.item<float>() / exact.scale.item<float>() - 1) < 0.06);
  CHECK(found.scale.item<float>() < 0.5 * 60 / 7.5);
}

TEST_CASE("ranges that can't be: nothing, zeros, values that are not finite") {
  ActivationRange range;
  CHECK_THROWS_AS(range.endsFor(format(Calibration::kMax, true)), Error);
  range.add(at::zeros({4}));
  for (const auto calibration :
       {Calibration::kMax, Calibration::kPercentile, Calibration::kMeanSquaredError}) {
    const auto [low, high] = range.endsFor(format(calibration, false));
    CHECK(low == 0);
    CHECK(high == 0);
  }
  CHECK_THROWS_AS(range.add(at::full({2}, INFINITY)), Error);
  range.add(at::full({2}, 3e38));
  range.add(at::full({2}, -1e-40));
  CHECK(range.endsFor(format(Calibration::kMax, true)).second == doctest::Approx(3e38));
}

TEST_CASE("layers are found with their weights, axes and groups") {
  torch::jit::Module module("m");
  module.register_parameter("conv_weight", at::randn({4, 3, 3, 3}), false);
  module.register_parameter("up_weight", at::randn({4, 6, 2, 2}), false);
  module.register_parameter("table", at::randn({6, 5}), false);
  module.register_parameter("stacked", at::randn({15, 5}), false);
  module.define(R"JIT(
def forward(self, x):
    y = torch.conv2d(x, self.conv_weight)
    y = torch.conv_transpose2d(y, self.up_weight)
    y = torch.matmul(y.mean([2, 3]), self.table)
    q, k, v = self.stacked.chunk(3, 0)
    a = torch.linear(y, q)
    b = torch.linear(y, k)
    c = torch.linear(torch.relu(y), v)
    return torch.addmm(a, torch.matmul(b, c.t()), torch.linear(c, self.table.t().t()[:5].t()))
)JIT");
  const Recorded recorded(module, positional({at::randn({5, 3, 6, 6})}));
  const auto layers = findQuantizableLayers(*recorded.program, true);
  std::vector<std::string> names;
  for (const auto& layer : layers) names.push_back(layer.name);
  CHECK(names == std::vector<std::string>{"conv_weight", "up_weight", "table", "stacked", "stacked#2",
                                          "stacked#3", "table#2"});
  CHECK(layers[0].axis == 0);
  CHECK(layers[1].axis == 1);
  CHECK(layers[2].axis == 1);
  CHECK(layers[3].axis == 0);
  // Parts of one parameter, and two readings of another, each get one format.
  CHECK(layers[3].group == layers[4].group);
  CHECK(layers[3].group == layers[5].group);
  CHECK(layers[2].group == layers[6].group);
  CHECK(layers[0].group != layers[1].group);
}

}  // namespace torchsearch::testing

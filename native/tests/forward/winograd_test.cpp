#include "core/forward/winograd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <limits>
#include <vector>

#include "tests/support/doctest.h"

namespace torchsearch::testing {

namespace {

struct Case {
  int64_t batch, inputs, outputs, height, width, padding;
};

struct Operands {
  at::Tensor input, weight, bias, other;

  explicit Operands(const Case& of)
      : input(at::randn({of.batch, of.inputs, of.height, of.width})),
        weight(at::randn({of.outputs, of.inputs, 3, 3})),
        bias(at::randn({of.outputs})),
        other(at::randn(
            {of.batch, of.outputs, of.height + 2 * of.padding - 2, of.width + 2 * of.padding - 2})) {}

  // In double precision.
  at::Tensor expected(int64_t padding) const {
    return at::conv2d(input.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble), 1, padding);
  }
};

double error(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

}  // namespace

TEST_CASE("Winograd's convolution gives the convolution, for all sizes, borders and remainders of vectors") {
  if (!hasWinograd()) return;
  at::manual_seed(1);
  for (const Case& of : std::vector<Case>{{1, 64, 64, 56, 56, 1},
                                          {1, 256, 256, 14, 14, 1},
                                          {2, 40, 33, 9, 14, 1},
                                          {1, 32, 32, 8, 8, 0},
                                          {3, 65, 100, 7, 5, 0},
                                          {1, 1, 1, 3, 3, 0},
                                          {1, 3, 17, 1, 1, 1},
                                          {5, 130, 48, 17, 3, 1}}) {
    CAPTURE(of.inputs);
    CAPTURE(of.height);
    const Operands operands(of);
    const at::Tensor packed = packWinograd(operands.weight);
    WinogradArguments arguments;
    arguments.padding = of.padding;
    const at::Tensor expected = operands.expected(of.padding);
    const at::Tensor plain = winogradConvolution(operands.input, packed, operands.bias, {}, arguments);
    CHECK_LT(error(plain, expected), 3e-6);
    CHECK(plain.is_contiguous(at::MemoryFormat::ChannelsLast));

    arguments.low = -0.5;
    arguments.high = 6;
    const at::Tensor whole = winogradConvolution(operands.input.contiguous(at::MemoryFormat::ChannelsLast),
                                                 packed, operands.bias, operands.other, arguments);
    CHECK_LT((whole.to(at::kDouble) - (expected + operands.other).clamp(-0.5, 6)).abs().max().item<double>(),
             3e-6 * expected.abs().max().item<double>());
  }
}

TEST_CASE("Winograd's convolution gives the same bits with any number of threads") {
  if (!hasWinograd()) return;
  at::manual_seed(2);
  const Operands operands({4, 96, 64, 28, 28, 1});
  WinogradArguments arguments;
  arguments.padding = 1;
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const at::Tensor packed = packWinograd(operands.weight);
    results.push_back(winogradConvolution(operands.input, packed, operands.bias, operands.other, arguments));
  }
  at::set_num_threads(threads);
  for (const auto& result : results) CHECK(at::equal(result, results.front()));
}

TEST_CASE("Winograd's convolution keeps what is no number") {
  if (!hasWinograd()) return;
  const Operands operands({1, 32, 32, 12, 12, 1});
  operands.input[0][3][5][5] = std::numeric_limits<float>::quiet_NaN();
  WinogradArguments arguments;
  arguments.padding = 1;
  arguments.low = 0;
  const auto result =
      winogradConvolution(operands.input, packWinograd(operands.weight), operands.bias, {}, arguments);
  CHECK(result.isnan().any().item<bool>());
}

TEST_CASE("Winograd's convolution is taken where it saves much, by sizes alone") {
  CHECK(winogradPays(1, 64, 64, 56, 56));
  CHECK(winogradPays(1, 256, 256, 14, 14));
  CHECK_FALSE(winogradPays(1, 512, 512, 7, 7));   // few tiles, large weights
  CHECK_FALSE(winogradPays(8, 64, 64, 5, 5));     // tiles that are empty for the most part
  CHECK_FALSE(winogradPays(1, 3, 64, 224, 224));  // transforms cost more than products
}

}  // namespace torchsearch::testing

// Kernels other than LibTorch's plain operators: compared before they are used, and not run where they may
// crash.
#include "core/forward/kernel_trial.h"

#include <ATen/ATen.h>

#include <limits>
#include <memory>

#include "core/forward/executor.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

// Fills a slot with what slot 0 holds, times a factor.
class Scaling final : public PreparedStep {
 public:
  Scaling(double factor, int& runs) : factor_(factor), runs_(runs) {}
  void run(std::vector<at::Tensor>& values) const override {
    ++runs_;
    values[1] = values[0] * factor_;
  }

 private:
  double factor_;
  int& runs_;
};

struct Tried {
  int fast = 0;
  int plain = 0;
  std::unique_ptr<PreparedStep> step;

  Tried(uint64_t geometry, double factor)
      : step(triedStep(followedBy(Digest(), geometry), 1, std::make_unique<Scaling>(factor, fast),
                       std::make_unique<Scaling>(2.0, plain))) {}

  at::Tensor run(const at::Tensor& input) const {
    std::vector<at::Tensor> values = {input, {}};
    step->run(values);
    return values[1];
  }
};

FusedChain chainOf(std::vector<int64_t> padding, std::vector<int64_t> dilation) {
  FusedChain chain;
  chain.stride = {1, 1};
  chain.padding = std::move(padding);
  chain.dilation = std::move(dilation);
  return chain;
}

}  // namespace

TEST_CASE("a kernel that differs is found before its result is used, and never runs again") {
  const at::Tensor x = at::randn({3, 4});
  Tried wrong(70001, 2.6);
  CHECK(at::equal(wrong.run(x), x * 2));
  CHECK(at::equal(wrong.run(x), x * 2));
  CHECK_EQ(wrong.fast, 1);
  CHECK_EQ(wrong.plain, 2);
  // Another step of the same geometry knows.
  Tried other(70001, 2.6);
  CHECK(at::equal(other.run(x), x * 2));
  CHECK_EQ(other.fast, 0);

  Tried right(70002, 2.0);
  CHECK(at::equal(right.run(x), x * 2));
  CHECK(at::equal(right.run(x), x * 2));
  CHECK_EQ(right.fast, 2);
  CHECK_EQ(right.plain, 1);
}

TEST_CASE("zeros and what is no number prove nothing") {
  Tried wrong(70003, 2.6);
  const at::Tensor zeros = at::zeros({3, 4});
  CHECK(at::equal(wrong.run(zeros), zeros));
  const at::Tensor nan = at::full({3, 4}, std::numeric_limits<float>::quiet_NaN());
  CHECK(wrong.run(nan).isnan().all().item<bool>());
  CHECK_EQ(verdictOn(followedBy(Digest(), uint64_t{70003})), Verdict::kUntried);
  const at::Tensor x = at::randn({3, 4});
  CHECK(at::equal(wrong.run(x), x * 2));
  CHECK_EQ(verdictOn(followedBy(Digest(), uint64_t{70003})), Verdict::kUnsound);
}

TEST_CASE("geometries at which oneDNN reads beyond its memory are not run in channels-last order") {
  const auto may = [](std::vector<int64_t> kernel, std::vector<int64_t> output, std::vector<int64_t> padding,
                      std::vector<int64_t> dilation = {1, 1}) {
    return mayRunChannelsLast(chainOf(std::move(padding), std::move(dilation)), {8, 8, kernel[0], kernel[1]},
                              {2, 8, output[0], output[1]});
  };
  CHECK(may({3, 3}, {9, 9}, {1, 1}));
  CHECK(may({7, 7}, {1, 1}, {3, 3}));
  CHECK(may({1, 1}, {50, 1}, {0, 0}));
  CHECK(may({1, 11}, {1, 50}, {0, 5}));
  CHECK(may({3, 1}, {9, 2}, {1, 0}));
  CHECK(may({3, 3}, {9, 9}, {4, 4}, {2, 2}));
  // One column, by one column, of several rows.
  CHECK_FALSE(may({3, 1}, {9, 1}, {1, 0}));
  CHECK_FALSE(may({64, 1}, {253, 1}, {0, 0}));
  CHECK_FALSE(may({64, 1}, {253, 4}, {0, 0}));
  CHECK_FALSE(may({1, 12}, {1, 50}, {0, 0}));
  CHECK_FALSE(may({3, 3}, {9, 9}, {3, 1}));
  CHECK_FALSE(may({1, 1}, {9, 9}, {0, 1}));
}

// What PyTorch 2.13 gets wrong by half on AVX-512, or crashes at, when it is packed: widths by `TallKernel`
// of issue 15, and others of the kind.
TEST_CASE("tall kernels and one column: prepared as plainly, at every width and size") {
  struct Geometry {
    int64_t inputs, outputs, height, kernel, padding, batch;
  };
  for (const auto& [inputs, outputs, height, kernel, padding, batch] :
       std::vector<Geometry>{{56, 56, 316, 64, 0, 2},
                             {88, 128, 316, 64, 0, 2},
                             {120, 24, 256, 64, 31, 2},
                             {184, 64, 128, 64, 0, 1},
                             {152, 64, 300, 32, 15, 2},
                             {88, 64, 200, 48, 0, 3},
                             {504, 64, 115, 16, 8, 2},
                             {24, 64, 380, 128, 0, 2}}) {
    CAPTURE(inputs);
    CAPTURE(kernel);
    const std::string body =
        "  x = torch.relu(torch.conv2d(x, self.first))\n"
        "  return torch.relu(torch.conv2d(x, self.second, None, [1, 1], [" +
        std::to_string(padding) + ", 0]))\n";
    torch::jit::Module module("m");
    module.register_parameter("first", at::randn({inputs, 4, 1, 1}), false);
    module.register_parameter("second", at::randn({outputs, inputs, kernel, 1}), false);
    module.define("def forward(self, x):\n" + body);
    for (const int64_t rows : {height, height + 37, height}) {
      const at::Tensor x = at::randn({batch, 4, rows, 1});
      const Recorded recorded(module, positional({x}));
      const auto plan = std::make_shared<const ExecutionPlan>(recorded.program);
      const ProgramPreparer preparer(plan, std::make_shared<WeightCache>(1 << 26));
      Bindings bindings = bindModule(*recorded.program, recorded.module);
      preparer.prepare(bindings);
      REQUIRE(bindings.prepared != nullptr);
      const at::NoGradGuard noGrad;
      const at::Tensor first =
          at::relu(at::conv2d(x.to(at::kDouble), module.attr("first").toTensor().to(at::kDouble)));
      const at::Tensor expected = at::relu(
          at::conv2d(first, module.attr("second").toTensor().to(at::kDouble), {}, {1, 1}, {padding, 0}));
      for (int run = 0; run < 2; ++run) {
        const at::Tensor given = Executor(plan).run(bindings, {x}, CancelToken()).toTensor();
        CHECK(at::allclose(given.to(at::kDouble), expected, 0, 1e-4 * expected.abs().max().item<double>()));
      }
    }
  }
}

}  // namespace torchsearch::testing

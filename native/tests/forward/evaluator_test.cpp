#include "core/forward/evaluator.h"

#include "core/evaluation/evaluate.h"
#include "core/model/module.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

torch::jit::Module moduleWithState(const std::string& body) {
  torch::jit::Module module("m");
  module.register_parameter("weight", at::randn({16, 16, 3, 3}) * 0.1, false);
  module.register_buffer("mean", at::randn({16}));
  module.register_buffer("variance", at::rand({16}) + 0.5);
  module.register_buffer("calls", at::zeros({}));
  module.register_attribute("kept", c10::TensorType::get(), at::zeros({1}));
  module.register_attribute("training", c10::BoolType::get(), false);
  module.define("def forward(self, x):\n" + body);
  return module;
}

const char* const kNormedConvolution =
    "  y = torch.conv2d(x, self.weight, None, 1, 1)\n"
    "  y = torch.batch_norm(y, None, None, self.mean, self.variance, self.training, 0.1, 1e-5, False)\n"
    "  return torch.relu(y)\n";

Inputs batchOf(int64_t batch) {
  return positional({at::randn({batch, 16, 12, 12})});
}

bool sameOutput(const c10::IValue& a, const c10::IValue& b) {
  return at::allclose(a.toTensor(), b.toTensor(), 1e-4, 1e-4);
}

}  // namespace

TEST_CASE("an evaluated module gives what its forward gives, at every shape, and keeps its weights") {
  Module module(moduleWithState(kNormedConvolution));
  const std::string before = module.fingerprint();
  for (int round = 0; round < 2; ++round) {
    for (const int64_t batch : {8, 1, 3}) {
      const Inputs inputs = batchOf(batch);
      CHECK(sameOutput(module.evaluate(inputs, CancelToken()), module.forward(inputs, CancelToken())));
    }
  }
  CHECK_EQ(module.fingerprint(), before);
}

TEST_CASE("an evaluated module follows its mode, its statistics and its weights") {
  Module module(moduleWithState(kNormedConvolution));
  const Inputs inputs = batchOf(8);
  const auto agree = [&] {
    CHECK(sameOutput(module.evaluate(inputs, CancelToken()), module.forward(inputs, CancelToken())));
  };
  agree();
  module.train(true);
  // Batch statistics, and the running ones move on.
  const at::Tensor before = module.namedBuffers().front().tensor.clone();
  CHECK(sameOutput(module.evaluate(inputs, CancelToken()), module.forward(inputs, CancelToken())));
  CHECK_FALSE(at::equal(module.namedBuffers().front().tensor, before));
  module.train(false);
  agree();
  for (const auto& parameter : module.namedParameters()) {
    const at::NoGradGuard noGrad;
    at::Tensor(parameter.tensor).mul_(3);
  }
  agree();
}

TEST_CASE("what can't be recorded runs as its forward does") {
  const std::vector<std::string> bodies = {
      // depends on values; keeps state; writes a buffer; writes its input
      "  if bool(x.sum() > 0):\n    return torch.relu(x)\n  return x\n",
      "  y = x + self.kept\n  self.kept = self.kept + 1.\n  return y\n",
      "  self.calls += 1.\n  return torch.relu(torch.conv2d(x, self.weight, None, 1, 1)) + self.calls\n",
      "  x += 1.\n  return torch.conv2d(x, self.weight, None, 1, 1)\n",
  };
  for (const auto& body : bodies) {
    CAPTURE(body);
    const torch::jit::Module original = moduleWithState(body);
    Module expected(original.deepcopy());
    Module module(original.deepcopy());
    for (int call = 0; call < 4; ++call) {
      const at::Tensor x = at::randn({2, 16, 12, 12}) + (call % 2 == 0 ? 1 : -1);
      at::Tensor other = x.clone();
      CHECK(sameOutput(module.evaluate(positional({x}), CancelToken()),
                       expected.forward(positional({other}), CancelToken())));
      CHECK(at::equal(x, other));
    }
  }
}

TEST_CASE("evaluating is aborted, refused on a closed module, and refuses inputs that do not fit") {
  Module module(moduleWithState(kNormedConvolution));
  CancelToken cancel;
  module.evaluate(batchOf(2), cancel);
  CHECK_THROWS_WITH_AS(module.evaluate(positional({at::randn({2, 3, 12, 12})}), cancel),
                       doctest::Contains(""), Error);
  CHECK_THROWS_AS(module.evaluate({}, cancel), Error);
  cancel.cancel();
  CHECK_THROWS_AS(module.evaluate(batchOf(2), cancel), Error);
  module.close();
  CHECK_THROWS_AS(module.evaluate(batchOf(2), CancelToken()), Error);
}

TEST_CASE("an evaluator prepares what it can") {
  Evaluator evaluator(moduleWithState(kNormedConvolution));
  CHECK_FALSE(evaluator.isPrepared(batchOf(2)));
  evaluator.run(batchOf(2), CancelToken());
  CHECK(evaluator.isPrepared(batchOf(2)));
  Evaluator kept(moduleWithState("  self.kept = self.kept + 1.\n  return x + self.kept\n"));
  kept.run(batchOf(2), CancelToken());
  CHECK_FALSE(kept.isPrepared(batchOf(2)));
}

}  // namespace torchsearch::testing

#include "core/importance/importance.h"

#include <cmath>
#include <functional>
#include <string>

#include "core/base/error.h"
#include "core/space/channel_order.h"
#include "core/space/search_space.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

// A convolution with a batch norm, read by a linear layer: one group of 6 channels.
torch::jit::Module classifier() {
  torch::manual_seed(5);
  torch::jit::Module module("m");
  module.register_parameter("kernel", at::randn({6, 2, 3, 3}), false);
  module.register_parameter("scale", at::rand({6}) + 0.5, false);
  module.register_parameter("shift", at::randn({6}), false);
  module.register_buffer("mean", at::randn({6}));
  module.register_buffer("var", at::rand({6}) + 0.5);
  module.register_parameter("weight", at::randn({4, 6}), false);
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(R"JIT(
def forward(self, x):
    y = torch.conv2d(x, self.kernel)
    y = torch.batch_norm(y, self.scale, self.shift, self.mean, self.var, self.training, 0.1, 1e-5, False)
    y = torch.relu_(y)
    return torch.linear(y.mean([2, 3]), self.weight)
)JIT");
  return module;
}

std::shared_ptr<SearchSpace> convert(const std::shared_ptr<Module>& module) {
  return SearchSpace::convert(module, positional({at::zeros({1, 2, 5, 5})}), {}, CancelToken(), {});
}

std::string codeOf(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

const at::Tensor kTarget = at::tensor({0, 3, 1}, at::kLong);

}  // namespace

TEST_CASE("gradients are taken in evaluation mode and leave the module as it was") {
  torch::jit::Module jit = classifier();
  // Flags and a gradient of the caller's own.
  jit.attr("kernel").toTensor().requires_grad_(true);
  at::Tensor kernel = jit.attr("kernel").toTensor();
  kernel.mutable_grad() = at::ones({6, 2, 3, 3});
  const at::Tensor mean = jit.attr("mean").toTensor().clone();
  const auto module = std::make_shared<Module>(jit);
  const auto space = convert(module);
  const auto taylor = Importance::make(ImportanceKind::kTaylor, {});
  const at::Tensor input = at::randn({3, 2, 5, 5});
  space->measure(*taylor, positional({input}), kTarget, CancelToken());
  CHECK(kernel.requires_grad());
  CHECK(at::equal(kernel.grad(), at::ones({6, 2, 3, 3})));
  CHECK_FALSE(jit.attr("weight").toTensor().requires_grad());
  CHECK_FALSE(jit.attr("weight").toTensor().grad().defined());
  CHECK(at::equal(jit.attr("mean").toTensor(), mean));
  CHECK(module->training());
}

TEST_CASE("Taylor importance is the contribution of a channel's slices, module by module") {
  torch::jit::Module jit = classifier();
  const auto space = convert(std::make_shared<Module>(jit));
  const at::Tensor input = at::randn({3, 2, 5, 5});
  const auto taylor = Importance::make(ImportanceKind::kTaylor, {});
  space->measure(*taylor, positional({input}), kTarget, CancelToken());
  const auto scores = space->scores(*taylor).at(0);

  const auto leaf = [&](const char* name) { return jit.attr(name).toTensor().clone().requires_grad_(true); };
  const at::Tensor kernel = leaf("kernel"), scale = leaf("scale"), shift = leaf("shift"),
                   weight = leaf("weight");
  at::Tensor y = at::conv2d(input, kernel);
  y = at::batch_norm(y, scale, shift, jit.attr("mean").toTensor(), jit.attr("var").toTensor(), false, 0.1,
                     1e-5, false);
  at::cross_entropy_loss(at::linear(at::relu(y).mean({2, 3}), weight), kTarget).backward();
  // The vectors and the kernel are all the root module's, and so one contribution.
  const at::Tensor out =
      ((kernel * kernel.grad()).sum({1, 2, 3}) + scale * scale.grad() + shift * shift.grad()).abs();
  const at::Tensor in = (weight * weight.grad()).sum(0).abs();
  const at::Tensor expected = (out / out.mean() + in / in.mean()).detach().to(at::kDouble);
  CHECK(at::allclose(at::tensor(scores, at::kDouble), expected, 1e-4, 1e-6));
}

TEST_CASE("an order is applied to every tensor that a channel runs through") {
  torch::jit::Module jit = classifier();
  const auto module = std::make_shared<Module>(jit);
  const at::Tensor input = at::randn({3, 2, 5, 5});
  module->train(false);
  const at::Tensor before = module->forward(positional({input}), CancelToken()).toTensor();
  const at::Tensor kernel = jit.attr("kernel").toTensor().clone();
  const auto space = convert(module);
  const auto random = Importance::make(ImportanceKind::kRandom, {});
  const auto order = descendingOrder(space->scores(*random));
  CHECK(space->reorder(*random) == digestOf(order));
  const at::Tensor index = at::tensor(order.at(0), at::kLong);
  CHECK_FALSE(at::equal(index, at::arange(6)));
  CHECK(at::equal(jit.attr("kernel").toTensor(), kernel.index_select(0, index)));
  CHECK(at::allclose(module->forward(positional({input}), CancelToken()).toTensor(), before, 1e-5, 1e-6));
  CHECK(at::allclose(space->forward(positional({input}), CancelToken()).toTensor(), before, 1e-5, 1e-6));
}

TEST_CASE("a large weight is reordered piece by piece") {
  torch::jit::Module jit("m");
  torch::manual_seed(1);
  jit.register_parameter("first", at::randn({600, 900}), false);
  jit.register_parameter("second", at::randn({3, 600}), false);
  jit.define(
      "def forward(self, x):\n    return torch.linear(torch.relu(torch.linear(x, self.first)), "
      "self.second)\n");
  const at::Tensor first = jit.attr("first").toTensor().clone();
  const at::Tensor second = jit.attr("second").toTensor().clone();
  const auto space = SearchSpace::convert(std::make_shared<Module>(jit), positional({at::zeros({1, 900})}),
                                          {}, CancelToken(), {});
  const auto l1 = Importance::make(ImportanceKind::kL1, {});
  const at::Tensor rows = first.to(at::kDouble).abs().sum(1);
  const at::Tensor columns = second.to(at::kDouble).abs().sum(0);
  const at::Tensor expected = rows / rows.mean() + columns / columns.mean();
  CHECK(at::allclose(at::tensor(space->scores(*l1).at(0), at::kDouble), expected, 1e-9, 1e-9));
  space->reorder(*l1);
  const at::Tensor index = expected.argsort(/*stable=*/true, 0, /*descending=*/true);
  CHECK(at::equal(jit.attr("first").toTensor(), first.index_select(0, index)));
  CHECK(at::equal(jit.attr("second").toTensor(), second.index_select(1, index)));
}

TEST_CASE("importances are refused what they can't use") {
  torch::jit::Module jit = classifier();
  const auto space = convert(std::make_shared<Module>(jit));
  const Inputs input = positional({at::randn({3, 2, 5, 5})});
  for (const auto kind :
       {ImportanceKind::kL1, ImportanceKind::kL2, ImportanceKind::kBnScale, ImportanceKind::kRandom}) {
    const auto importance = Importance::make(kind, {});
    CHECK_FALSE(importance->needsData());
    CHECK(codeOf([&] { space->measure(*importance, input, {}, CancelToken()); }) == "ERR_CONFIG_VALUE");
  }
  for (const auto kind : {ImportanceKind::kTaylor, ImportanceKind::kActivation}) {
    CHECK(codeOf([&] { space->reorder(*Importance::make(kind, {})); }) == "ERR_EMPTY_LOADER");
  }
  const auto taylor = Importance::make(ImportanceKind::kTaylor, {});
  CHECK(codeOf([&] { space->measure(*taylor, input, {}, CancelToken()); }) == "ERR_SCORE_INPUT");
  CHECK(codeOf([&] { space->measure(*taylor, input, at::tensor({0, 4, 1}, at::kLong), CancelToken()); }) ==
        "ERR_SCORE_INPUT");
  const at::Tensor nan = at::full({3, 2, 5, 5}, std::nan(""));
  CHECK(codeOf([&] { space->measure(*taylor, positional({nan}), kTarget, CancelToken()); }) ==
        "ERR_IMPORTANCE_NAN");
  CancelToken cancelled;
  cancelled.cancel();
  CHECK(codeOf([&] { space->measure(*taylor, input, kTarget, cancelled); }) == "ERR_ABORTED");
}

TEST_CASE("float16 and bfloat16 weights are ranked as their float32 values are") {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    torch::jit::Module jit = classifier();
    jit.to(dtype);
    torch::jit::Module exact = jit.clone();
    exact.to(at::kFloat);
    const at::Tensor input = at::randn({3, 2, 5, 5}).to(dtype);
    const auto space =
        SearchSpace::convert(std::make_shared<Module>(jit), positional({input}), {}, CancelToken(), {});
    const auto reference = convert(std::make_shared<Module>(exact));
    for (const auto kind : {ImportanceKind::kL1, ImportanceKind::kL2, ImportanceKind::kBnScale,
                            ImportanceKind::kTaylor, ImportanceKind::kActivation}) {
      const auto low = Importance::make(kind, {});
      const auto high = Importance::make(kind, {});
      if (low->needsData()) {
        space->measure(*low, positional({input}), kTarget, CancelToken());
        reference->measure(*high, positional({input.to(at::kFloat)}), kTarget, CancelToken());
      }
      const double tolerance = low->needsData() ? 0.1 : 1e-9;
      CHECK(at::allclose(at::tensor(space->scores(*low).at(0), at::kDouble),
                         at::tensor(reference->scores(*high).at(0), at::kDouble), tolerance, tolerance));
    }
  }
}

TEST_CASE("a model that can't be differentiated says so") {
  torch::jit::Module jit("m");
  jit.register_parameter("first", at::randn({8, 4}), false);
  jit.register_parameter("second", at::randn({3, 8}), false);
  jit.define(
      "def forward(self, x):\n"
      "    return torch.round(torch.linear(torch.relu(torch.linear(x, self.first)), "
      "self.second)).long().float()\n");
  const Inputs input = positional({at::randn({2, 4})});
  const auto space = SearchSpace::convert(std::make_shared<Module>(jit), input, {}, CancelToken(), {});
  const auto taylor = Importance::make(ImportanceKind::kTaylor, {});
  CHECK(codeOf([&] { space->measure(*taylor, input, at::tensor({0, 1}, at::kLong), CancelToken()); }) ==
        "ERR_GRADIENT");
}

}  // namespace torchsearch::testing

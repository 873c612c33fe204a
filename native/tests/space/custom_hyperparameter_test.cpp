// Choices of the user's own: what a subnet with them computes is worked out by hand, or by a module that was
// given the tensors before it was converted.
#include "core/space/custom_hyperparameter.h"

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/space/search_space.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

using Channels = SearchSpace::Channels;
using Values = std::vector<int64_t>;

const char* const kForward = R"JIT(
def forward(self, x):
    y = torch.conv2d(x, self.first, self.bias, [1, 1], [1, 1])
    y = torch.leaky_relu(y, 0.01)
    y = torch.batch_norm(y, self.scale, None, self.mean, self.variance, False, 0.1, 1e-5, True)
    y = torch.clamp(y * 2, max=float(x.size(0)) + 4.0)
    y = torch.relu(torch.conv2d(y, self.second, None, [1, 1], [1, 1]))
    return y * self.factor * 0.5
)JIT";

std::shared_ptr<Module> layeredNetwork(const std::string& forward = kForward) {
  torch::manual_seed(3);
  torch::jit::Module module("m");
  module.register_parameter("first", at::randn({8, 3, 3, 3}), false);
  module.register_parameter("bias", at::randn({8}), false);
  module.register_parameter("second", at::randn({4, 8, 3, 3}), false);
  module.register_parameter("scale", at::rand({8}) + 0.5, false);
  module.register_parameter("unused", at::rand({1}), false);
  module.register_buffer("mean", at::randn({8}));
  module.register_buffer("variance", at::rand({8}) + 0.5);
  module.register_buffer("factor", at::ones({1}));
  module.define(forward);
  return std::make_shared<Module>(std::move(module));
}

at::Tensor tensorOf(const Module& module, const std::string& name) {
  for (const auto& list : {module.namedParameters(), module.namedBuffers()}) {
    for (const auto& item : list) {
      if (item.name == name) return item.tensor;
    }
  }
  throw Error("ERR_INPUT", "no tensor " + name);
}

std::shared_ptr<SearchSpace> convertByOne(const std::shared_ptr<Module>& module, const at::Tensor& input) {
  SpaceOptions options;
  options.channelDivisor = 1;
  return SearchSpace::convert(module, positional({input}), options, CancelToken(), {});
}

at::Tensor run(Forwardable& forwardable, const at::Tensor& input) {
  return forwardable.forward(positional({input.clone()}), CancelToken()).toTensor().clone();
}

std::string codeOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

struct Numbers {
  double slope = 0.01;
  double epsilon = 1e-5;
  double factor = 2;
  double last = 0.5;
};

// The first `width` channels, as the module has them now.
at::Tensor byHand(const Module& module, const at::Tensor& x, int64_t width, const Numbers& numbers) {
  const auto part = [&](const char* name) { return tensorOf(module, name).narrow(0, 0, width); };
  const auto across = [&](const char* name) { return part(name).view({1, width, 1, 1}); };
  at::Tensor y = at::conv2d(x, part("first"), part("bias"), {1, 1}, {1, 1});
  y = at::where(y >= 0, y, y * numbers.slope);
  y = (y - across("mean")) / at::sqrt(across("variance") + numbers.epsilon) * across("scale");
  y = at::clamp_max(y * numbers.factor, static_cast<double>(x.size(0)) + 4.0);
  y = at::relu(at::conv2d(y, tensorOf(module, "second").narrow(1, 0, width), {}, {1, 1}, {1, 1}));
  return y * tensorOf(module, "factor") * numbers.last;
}

bool close(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a, b, 1e-4, 1e-4);
}

}  // namespace

TEST_CASE("the constants of a graph are numbers that follow from nothing") {
  const auto space = convertByOne(layeredNetwork(), at::randn({2, 3, 6, 6}));
  std::vector<std::string> names;
  for (const auto& constant : space->constants()) names.push_back(constant.name);
  // Not the bound of clamp, which follows from the number of samples, nor the norm's momentum.
  CHECK(names ==
        std::vector<std::string>{"leaky_relu.negative_slope", "batch_norm.eps", "mul.other", "mul.other#2"});
  const auto constants = space->constants();
  CHECK(constants[0].value.toDouble() == 0.01);
  CHECK(constants[2].value.toInt() == 2);
}

TEST_CASE("numbers of the user's own are computed with and exported, at every width and batch size") {
  const auto module = layeredNetwork();
  const at::Tensor input = at::randn({2, 3, 6, 6});
  const auto space = convertByOne(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->addNumbers("slope", {"leaky_relu.negative_slope"}, {0.2, 0.01, 0.5, 0.2}, CancelToken())
            ->numbers == std::vector<double>{0.2, 0.5});
  space->addNumbers("epsilon", {"batch_norm.eps"}, {0.5}, CancelToken());
  space->addNumbers("factor", {"mul.other"}, {1.5}, CancelToken());
  space->addNumbers("last", {"mul.other#2"}, {2}, CancelToken());
  CHECK(space->active() == Values{8, 2, 1, 1, 1});
  CHECK(close(run(*space, input), byHand(*module, input, 8, {})));
  for (const int64_t width : {8, 5}) {
    space->select({width, 1, 0, 0, 0});
    const Numbers chosen{0.5, 0.5, 1.5, 2};
    CHECK(close(run(*space, input), byHand(*module, input, width, chosen)));
    const at::Tensor other = at::randn({3, 3, 6, 6});
    CHECK(close(run(*space, other), byHand(*module, other, width, chosen)));
    const auto subnet = space->exportSubnet();
    CHECK(close(run(*subnet, input), byHand(*module, input, width, chosen)));
    CHECK(close(run(*subnet, other), byHand(*module, other, width, chosen)));
  }
  // Left out, they are the model's own; and they cost nothing.
  space->select({5});
  CHECK(space->active() == Values{5, 2, 1, 1, 1});
  CHECK(close(run(*space, input), byHand(*module, input, 5, {})));
  CHECK(space->cost({5, 0, 0, 0, 0}, Metric::kFlops) == space->cost({5}, Metric::kFlops));
  CHECK(codeOf([&] { space->select({5, 3, 0, 0, 0}); }) == "ERR_CHOICE");
  CHECK(codeOf([&] { space->select({5, -1, 0, 0, 0}); }) == "ERR_CHOICE");
}

TEST_CASE("tensors of the user's own are reordered and narrowed as the model's are") {
  const at::Tensor input = at::randn({2, 3, 6, 6});
  const at::Tensor first = at::randn({8, 3, 3, 3});
  const at::Tensor mean = at::randn({8});
  for (const auto importance : {ImportanceKind::kL1, ImportanceKind::kRandom}) {
    const auto module = layeredNetwork();
    const auto space = convertByOne(module, input);
    ImportanceOptions options;
    space->reorder(*Importance::make(importance, options));
    space->addTensors("weight", "first", {at::zeros({8, 3, 3, 3}), first}, Channels::kOriginal,
                      CancelToken());
    space->addTensors("means", "mean", {mean}, Channels::kOriginal, CancelToken());
    options.seed = 7;
    space->reorder(*Importance::make(ImportanceKind::kRandom, options));

    // What it is to give: the same with the tensors in the module before anything was reordered.
    const auto given = layeredNetwork();
    {
      const at::NoGradGuard noGrad;
      tensorOf(*given, "first").copy_(first);
      tensorOf(*given, "mean").copy_(mean);
    }
    const auto expected = convertByOne(given, input);
    expected->reorder(*Importance::make(importance, {}));
    space->select({8, 1, 0});
    CHECK(close(run(*space, input), run(*expected, input)));
    // The l1 order of the other weights differs, so that narrowed ones compare by hand.
    const auto whole = space->exportSubnet();
    CHECK(close(run(*whole, input), run(*expected, input)));
    space->select({5, 1, 0});
    CHECK(close(run(*space, input), byHand(*whole, input, 5, {})));
    CHECK(close(run(*space->exportSubnet(), input), byHand(*whole, input, 5, {})));
    CHECK(tensorOf(*space->exportSubnet(), "first").sizes() == at::IntArrayRef({5, 3, 3, 3}));
    // The model's own are still there.
    space->select({5, 2, 1});
    CHECK(close(run(*space, input), byHand(*module, input, 5, {})));
  }
}

TEST_CASE("tensors in the converted order are taken as they are") {
  const auto module = layeredNetwork();
  const at::Tensor input = at::randn({2, 3, 6, 6});
  const auto space = convertByOne(module, input);
  space->reorder(*Importance::make(ImportanceKind::kL1, {}));
  const at::Tensor halved = tensorOf(*module, "first").detach() / 2;
  space->addTensors("weight", "first", {halved}, Channels::kPresent, CancelToken());
  space->select({5, 0});
  const at::Tensor actual = run(*space, input);
  {
    const at::NoGradGuard noGrad;
    tensorOf(*module, "first").copy_(halved);
  }
  CHECK(close(actual, byHand(*module, input, 5, {})));
}

TEST_CASE("kept activations are never those of another choice") {
  const at::Tensor input = at::randn({2, 3, 6, 6});
  const auto make = [&] {
    auto space = convertByOne(layeredNetwork(), input);
    space->addNumbers("slope", {"leaky_relu.negative_slope"}, {0.2, 0.5}, CancelToken());
    torch::manual_seed(4);
    space->addTensors("other", "second", {at::randn({4, 8, 3, 3})}, Channels::kPresent, CancelToken());
    space->addNumbers("last", {"mul.other#2"}, {2}, CancelToken());
    return space;
  };
  const auto plain = make();
  const auto reusing = make();
  reusing->reuseActivations(int64_t{1} << 30);
  std::mt19937 random(1);
  const auto below = [&](uint32_t count) { return static_cast<int64_t>(random() % count); };
  for (int round = 0; round < 20; ++round) {
    std::vector<Values> candidates;
    for (int c = 0; c < 8; ++c) candidates.push_back({7 + below(2), below(3), below(2), below(2)});
    std::sort(candidates.begin(), candidates.end());
    reusing->expect(candidates);
    for (const auto& values : candidates) {
      plain->select(values);
      reusing->select(values);
      CHECK(at::equal(run(*plain, input), run(*reusing, input)));
    }
  }
  CHECK(reusing->reuse().hits > 50);
}

TEST_CASE("what can't be chosen is refused, and changes nothing") {
  const at::Tensor input = at::randn({2, 3, 6, 6});
  const auto module = layeredNetwork();
  const auto space = convertByOne(module, input);
  const auto numbers = [&](const std::string& name, const std::vector<std::string>& constants,
                           const std::vector<double>& values) {
    return codeOf([&] { space->addNumbers(name, constants, values, CancelToken()); });
  };
  const auto tensors = [&](const std::string& name, const std::string& tensor,
                           const std::vector<at::Tensor>& values) {
    return codeOf([&] { space->addTensors(name, tensor, values, Channels::kOriginal, CancelToken()); });
  };
  const std::string refused = "ERR_HYPERPARAMETER";
  CHECK(numbers("a", {"relu.slope"}, {1}) == "ERR_UNKNOWN_CONSTANT");
  CHECK(numbers("a", {"mul.other"}, {}) == refused);
  CHECK(numbers("a", {"mul.other"}, {2}) == refused);  // what it is
  CHECK(numbers("a", {}, {2}) == refused);
  CHECK(numbers("a", {"mul.other"}, {std::nan("")}) == refused);
  CHECK(numbers("a", {"mul.other", "mul.other#2"}, {3}) == refused);  // 2 and 0.5 now
  CHECK(numbers(space->hyperparameters()[0].name, {"mul.other"}, {3}) == refused);
  CHECK(tensors("a", "third", {at::zeros({8})}) == "ERR_UNKNOWN_TENSOR");
  CHECK(tensors("a", "bias", {}) == refused);
  CHECK(tensors("a", "bias", {at::zeros({7})}) == refused);
  CHECK(tensors("a", "bias", {at::zeros({8}, at::kDouble)}) == refused);
  CHECK(tensors("a", "bias", {at::full({8}, std::nan(""))}) == refused);
  CHECK(tensors("a", "unused", {at::zeros({1})}) == refused);
  CHECK(space->active() == Values{8});
  CHECK(numbers("a", {"mul.other"}, {3}) == "");
  CHECK(numbers("a", {"batch_norm.eps"}, {3}) == refused);
  CHECK(numbers("b", {"mul.other"}, {4}) == refused);
  CHECK(space->active() == Values{8, 1});
}

TEST_CASE("numbers that change shapes or dtypes, and tensors that decide more than values, are refused") {
  const auto network0 = layeredNetwork(R"JIT(
def forward(self, x):
    y = torch.conv2d(torch.conv2d(x, self.first), self.second)
    table = torch.full([4], 3) * 2
    if float(self.factor) > 0.5:
        y = y * 3.0
    return y + table.view([1, 4, 1, 1])
)JIT");
  const auto space = convertByOne(network0, at::randn({2, 3, 6, 6}));
  const auto code = [&](const char* constant, double value) {
    return codeOf([&] { space->addNumbers(constant, {constant}, {value}, CancelToken()); });
  };
  CHECK(code("mul.other", 0.5) == "ERR_HYPERPARAMETER");  // integers would become floats
  CHECK(code("mul.other", 3) == "");
  const auto factor = [&](double value) {
    return codeOf([&] {
      space->addTensors("factor", "factor", {at::full({1}, value)}, Channels::kOriginal, CancelToken());
    });
  };
  CHECK(factor(0) == "ERR_DATA_DEPENDENT");
}

}  // namespace torchsearch::testing

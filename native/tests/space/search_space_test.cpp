#include "core/space/search_space.h"

#include <string>

#include "core/base/error.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

std::shared_ptr<Module> twoConvolutions(const std::string& between) {
  torch::manual_seed(3);
  torch::jit::Module module("m");
  module.register_parameter("first", at::randn({8, 3, 3, 3}), false);
  module.register_parameter("bias", at::randn({8}), false);
  module.register_parameter("second", at::randn({4, 8, 3, 3}), false);
  module.define(R"JIT(
def forward(self, x):
    y = torch.conv2d(x, self.first, self.bias, [1, 1], [1, 1])
)JIT" + between +
                R"JIT(
    return torch.conv2d(y, self.second, None, [1, 1], [1, 1])
)JIT");
  return std::make_shared<Module>(std::move(module));
}

SpaceOptions everyWidth() {
  SpaceOptions options;
  options.channelDivisor = 1;
  return options;
}

std::shared_ptr<SearchSpace> convert(const std::shared_ptr<Module>& module, const at::Tensor& input) {
  return SearchSpace::convert(module, positional({input}), everyWidth(), CancelToken(), {});
}

at::Tensor parameter(const Module& module, const std::string& name) {
  for (const auto& item : module.namedParameters()) {
    if (item.name == name) return item.tensor;
  }
  throw Error("ERR_INPUT", "no parameter " + name);
}

}  // namespace

TEST_CASE("a subnet computes what slicing the ordered weights by hand computes") {
  const auto module = twoConvolutions("    y = torch.relu(y)");
  const at::Tensor input = at::randn({2, 3, 6, 6});
  const at::Tensor before = module->forward(positional({input}), CancelToken()).toTensor();
  const auto space = convert(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->hyperparameters()[0].full == 8);
  CHECK(space->hyperparameters()[0].choices.size() == 8);
  CHECK(at::allclose(space->forward(positional({input}), CancelToken()).toTensor(), before, 1e-4, 1e-5));

  space->select({5});
  const at::Tensor first = parameter(*module, "first").narrow(0, 0, 5);
  const at::Tensor hidden =
      at::relu(at::conv2d(input, first, parameter(*module, "bias").narrow(0, 0, 5), {1, 1}, {1, 1}));
  const at::Tensor expected =
      at::conv2d(hidden, parameter(*module, "second").narrow(1, 0, 5), {}, {1, 1}, {1, 1});
  CHECK(at::allclose(space->forward(positional({input}), CancelToken()).toTensor(), expected, 1e-5, 1e-6));

  const auto subnet = space->exportSubnet();
  CHECK(parameter(*subnet, "first").sizes() == at::IntArrayRef({5, 3, 3, 3}));
  CHECK(parameter(*subnet, "second").sizes() == at::IntArrayRef({4, 5, 3, 3}));
  CHECK(space->cost({5}, Metric::kParams) == 5 * 27 + 5 + 4 * 5 * 9);
  CHECK(space->cost({5}, Metric::kMacs) == 2 * 36 * (5 * 27 + 4 * 5 * 9));
  CHECK(at::allclose(subnet->forward(positional({input}), CancelToken()).toTensor(), expected, 1e-5, 1e-6));
}

TEST_CASE("an operator without a rule keeps its dimensions whole and says so") {
  const auto module = twoConvolutions("    y = torch.renorm(y, 2.0, 1, 5.0)");
  const auto space = convert(module, at::randn({1, 3, 6, 6}));
  CHECK(space->hyperparameters().empty());
  bool named = false;
  for (const auto& whole : space->unprunable()) {
    named = named || (whole.parameter == "first" && whole.reason.find("renorm") != std::string::npos);
  }
  CHECK(named);
}

TEST_CASE("widths that are no choice are refused and change nothing") {
  const auto module = twoConvolutions("    y = torch.relu(y)");
  const auto space = convert(module, at::randn({1, 3, 6, 6}));
  space->select({3});
  CHECK_THROWS_AS(space->select({9}), Error);
  CHECK_THROWS_AS(space->select({}), Error);
  CHECK(space->active() == std::vector<int64_t>{3});
}

TEST_CASE("control flow on values can't be converted") {
  const auto module = twoConvolutions("    if bool(y.sum() > 0.0):\n        y = y + 1.0");
  try {
    convert(module, at::randn({1, 3, 6, 6}));
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == "ERR_DATA_DEPENDENT");
  }
}

TEST_CASE("a model without parameters is refused") {
  torch::jit::Module module("m");
  module.define("def forward(self, x):\n    return torch.relu(x)\n");
  try {
    convert(std::make_shared<Module>(std::move(module)), at::randn({1, 3}));
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.code() == "ERR_NO_PARAMETERS");
  }
}

// The export checks that a fresh profile gives the promised bytes, or else it throws.
TEST_CASE("a copy that widths of one make a view has no memory of its own") {
  const auto module = twoConvolutions(R"JIT(
    n, c, h, w = y.size()
    y = y.permute([0, 2, 3, 1]).reshape([n, h * w, -1]).transpose(1, 2).reshape([n, -1, h, w])
)JIT");
  const auto space = convert(module, at::randn({2, 3, 6, 6}));
  REQUIRE(space->hyperparameters().size() == 1);
  for (const int64_t width : {1, 2, 8}) {
    space->select({width});
    CHECK_NOTHROW(space->exportSubnet());
  }
}

TEST_CASE("what a container holds is not kept by it, whether a block opens it or not") {
  const auto module = twoConvolutions(R"JIT(
    kept = {"before": y}
    parts: List[Tensor] = []
    parts.append(y.relu())
    parts.append(torch.conv2d(y, torch.eye(y.size(1))[:, :, None, None]) + y)
    y = torch.cat(parts, 1).view([y.size(0), 2, -1, 6, 6]).sum(1)
    y = y + torch.conv2d(torch.conv2d(y, self.second, None, [1, 1], [1, 1]), self.first[:, :1].expand([-1, 4, 3, 3]), self.bias, [1, 1], [1, 1])
    y = y * kept["before"].mean()
)JIT");
  const auto space = convert(module, at::randn({2, 3, 6, 6}));
  std::vector<int64_t> values;
  bool leavesOut = false;
  for (const auto& each : space->hyperparameters()) {
    values.push_back(each.kind == HyperparameterKind::kDepth ? 0 : each.full);
    leavesOut = leavesOut || values.back() == 0;
  }
  REQUIRE(leavesOut);
  space->select(values);
  CHECK_NOTHROW(space->exportSubnet());
}

}  // namespace torchsearch::testing

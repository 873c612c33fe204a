// Exported subnets: what the graph computes from sizes must follow the subnet, and nothing else may change.
#include "core/export/subnet_export.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/irparser.h>

#include <functional>
#include <limits>
#include <string>

#include "core/base/error.h"
#include "core/forward/agreement.h"
#include "core/graph/call_rewrite.h"
#include "core/space/search_space.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

// 3 -> 8 -> 4 channels on images, with `between` working on the eight.
std::shared_ptr<Module> model(const std::string& between, at::ScalarType dtype = at::kFloat) {
  torch::manual_seed(3);
  torch::jit::Module module("m");
  module.register_parameter("first", at::randn({8, 3, 3, 3}).to(dtype), false);
  module.register_parameter("second", at::randn({4, 8, 3, 3}).to(dtype), false);
  module.register_buffer("count", at::zeros({1}).to(dtype));
  module.define(R"JIT(
def forward(self, x):
    n = x.size(0)
    y = torch.conv2d(x, self.first, None, [1, 1], [1, 1])
)JIT" + between +
                R"JIT(
    return torch.conv2d(y, self.second, None, [1, 1], [1, 1])
)JIT");
  return std::make_shared<Module>(std::move(module));
}

std::shared_ptr<SearchSpace> convert(const std::shared_ptr<Module>& module, const at::Tensor& input) {
  SpaceOptions options;
  options.channelDivisor = 1;
  return SearchSpace::convert(module, positional({input}), options, CancelToken(), {});
}

at::Tensor run(Forwardable& forwardable, const at::Tensor& input) {
  return forwardable.forward(positional({input.clone()}), CancelToken()).toTensor();
}

// The exported subnet equals the selected one at the dummy input and at two other batch sizes.
void checkExport(const std::string& between, const std::vector<int64_t>& widths) {
  CAPTURE(between);
  for (const int64_t batch : {1, 2}) {
    const auto module = model(between);
    const at::Tensor input = at::randn({batch, 3, 6, 6});
    const at::Tensor before = run(*module, input);
    const auto space = convert(module, input);
    CHECK(at::allclose(run(*space, input), before, 1e-4, 1e-4));
    REQUIRE(space->hyperparameters().size() == widths.size());
    space->select(widths);
    const auto subnet = space->exportSubnet();
    for (const int64_t other : {batch, int64_t{4}, int64_t{3}}) {
      const at::Tensor images = at::randn({other, 3, 6, 6});
      CHECK(at::allclose(run(*subnet, images), run(*space, images), 1e-4, 1e-4));
    }
  }
}

std::string codeOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}

std::string textOf(const Module& subnet) {
  return subnet.jit().get_method("forward").graph()->toString(false);
}

}  // namespace

TEST_CASE("in a list of sizes only what follows the channels changes") {
  checkExport("    y = y.view([n, 8, 36]).view([n, 8, 6, 6])", {5});
  checkExport("    y = y.reshape([n, 8, 36]).unflatten(2, [6, 6])", {5});
  checkExport("    y = y + y.mean([2, 3], True).expand([n, 8, 6, 6])", {5});
  checkExport("    y = torch.layer_norm(y.permute([0, 2, 3, 1]), [8], None, None).permute([0, 3, 1, 2])",
              {5});
}

TEST_CASE("sizes that the graph reads from tensors stay computed") {
  checkExport("    c = y.size(1)\n    y = y.view([n, c, 36]).view([n, c, 6, 6])", {5});
  const auto module = model("    c = y.size(1)\n    y = y.view([n, c, 36]).view([n, c, 6, 6])");
  const auto space = convert(module, at::randn({1, 3, 6, 6}));
  space->select({5});
  const auto subnet = space->exportSubnet();
  CHECK(textOf(*subnet).find("int = prim::Constant[value=5]()") == std::string::npos);
}

TEST_CASE("numbers computed from channel counts keep the full model's value") {
  checkExport("    y = y * (1.0 / float(y.size(1)))", {5});
  checkExport("    y = y + float(y.size(1) // 4)", {3});
}

TEST_CASE("a branch on channel counts goes the way that it went when recorded") {
  checkExport("    assert y.size(1) == 8, 'eight channels'", {5});
  checkExport("    if y.size(1) > 6:\n        y = torch.relu(y)", {5});
  checkExport(
      "    if y.size(1) <= 6:\n        y = torch.relu(y)\n    else:\n        y = y.view([n, 8, 6, 6]) * 2.0",
      {5});
  checkExport("    for i in range(y.size(1) // 4):\n        y = torch.sigmoid(y)", {3});
}

TEST_CASE("a loop's list may hold another width at every turn where -1 stands for it") {
  checkExport("    for i in range(2):\n        y = y.view([n, 8, 36]).view([n, 8, 6, 6])", {5});
}

TEST_CASE("pieces of chunk and split have widths of their own") {
  checkExport("    a, b = torch.chunk(y, 2, 1)\n    y = torch.cat([torch.relu(b), a], 1)", {1, 3});
  checkExport("    a, b = torch.split(y, [2, 6], 1)\n    y = torch.cat([torch.relu(b), a], 1)", {1, 3});
  checkExport("    p = torch.split(y, 4, 1)\n    y = torch.cat([torch.relu(p[1]), p[0]], 1)", {4, 3});
  checkExport("    a, b = torch.tensor_split(y, 2, 1)\n    y = torch.cat([torch.relu(b), a], 1)", {3, 1});
}

TEST_CASE("a file that cuts as before keeps its chunk") {
  const auto module = model("    a, b = torch.chunk(y, 2, 1)\n    y = torch.cat([torch.relu(b), a], 1)");
  const auto space = convert(module, at::randn({1, 3, 6, 6}));
  space->select({2, 2});
  CHECK(textOf(*space->exportSubnet()).find("aten::chunk") != std::string::npos);
  space->select({1, 2});
  const auto subnet = space->exportSubnet();
  const std::string text = textOf(*subnet);
  CHECK(text.find("aten::chunk") == std::string::npos);
  CHECK(text.find("aten::split_with_sizes") != std::string::npos);
}

TEST_CASE("one call that would need two numbers is refused") {
  torch::manual_seed(3);
  torch::jit::Module module("m");
  module.register_parameter("a", at::randn({8, 3, 1, 1}), false);
  module.register_parameter("b", at::randn({6, 3, 1, 1}), false);
  module.register_parameter("da", at::randn({8, 1, 1, 1}), false);
  module.register_parameter("db", at::randn({6, 1, 1, 1}), false);
  module.register_parameter("enda", at::randn({2, 8, 1, 1}), false);
  module.register_parameter("endb", at::randn({2, 6, 1, 1}), false);
  module.define(R"JIT(
def forward(self, x):
    out = torch.zeros([1])
    starts = [self.a, self.b]
    deep = [self.da, self.db]
    ends = [self.enda, self.endb]
    for i in range(2):
        y = torch.conv2d(x, starts[i])
        y = torch.conv2d(y, deep[i], None, [1, 1], [0, 0], [1, 1], [8, 6][i])
        out = out + torch.conv2d(y, ends[i])
    return out
)JIT");
  const auto space = convert(std::make_shared<Module>(std::move(module)), at::randn({1, 3, 2, 2}));
  REQUIRE(space->hyperparameters().size() == 2);
  space->select({5, 2});
  CHECK(codeOf([&] { space->exportSubnet(); }) == "ERR_EXPORT_CONFLICT");
  // Half of both: one factor serves.
  space->select({4, 3});
  const auto subnet = space->exportSubnet();
  const at::Tensor images = at::randn({3, 3, 2, 2});
  CHECK(at::allclose(run(*subnet, images), run(*space, images), 1e-4, 1e-4));
}

TEST_CASE("a batch size inside a product stays computed") {
  const auto graph = std::make_shared<torch::jit::Graph>();
  torch::jit::parseIR(R"IR(
graph(%x : Tensor, %n : int):
  %implicit : bool = prim::Constant[value=0]()
  %heads : int = prim::Constant[value=12]()
  %width : int = prim::Constant[value=64]()
  %both : int = aten::mul(%n, %heads)
  %sizes : int[] = prim::ListConstruct(%both, %width)
  %view : Tensor = aten::view(%x, %sizes)
  %grown : Tensor = aten::expand(%view, %sizes, %implicit)
  %both_views : (Tensor, Tensor) = prim::TupleConstruct(%view, %grown)
  return (%both_views))IR",
                      graph.get());
  CallRewrite rewrite;
  for (torch::jit::Node* node : graph->nodes()) {
    if (node->kind() != torch::jit::aten::view && node->kind() != torch::jit::aten::expand) continue;
    rewrite.observe(node, 1, 0, 24, 12);  // batch 2, half of the heads
    rewrite.observe(node, 1, 1, 64, 32);
  }
  rewrite.apply(
      [](const torch::jit::Value* value) { return value->node()->kind() == torch::jit::aten::mul; });
  // Three images: 3 x 6 heads.
  torch::jit::GraphFunction function("f", graph, nullptr);
  const at::Tensor x = at::randn({18, 32});
  const auto output = function({x, 3}).toTupleRef().elements().vec();
  CHECK(output[0].toTensor().sizes() == at::IntArrayRef({18, 32}));
  CHECK(output[1].toTensor().sizes() == at::IntArrayRef({18, 32}));
}

TEST_CASE("every floating-point dtype can be exported") {
  for (const auto dtype : {at::kHalf, at::kBFloat16, at::kDouble}) {
    CAPTURE(std::string(c10::toString(dtype)));
    const auto module = model("    y = torch.relu(y) * (1.0 / float(y.size(1)))", dtype);
    const at::Tensor input = at::randn({2, 3, 6, 6}).to(dtype);
    const auto space = convert(module, input);
    space->select({5});
    const auto subnet = space->exportSubnet();
    CHECK((run(*subnet, input).scalar_type() == dtype));
    CHECK(agrees(run(*subnet, input), run(*space, input)));
  }
}

TEST_CASE("outputs agree up to their dtype's rounding only") {
  const at::Tensor one = at::full({4}, 100.0);
  CHECK(agrees(one + 5e-3, one));
  CHECK_FALSE(agrees(one + 5e-2, one));
  CHECK(agrees((one + 0.5).to(at::kHalf), one.to(at::kHalf)));
  CHECK_FALSE(agrees((one + 5).to(at::kHalf), one.to(at::kHalf)));
  CHECK_FALSE(agrees((one + 5e-3).to(at::kDouble), one.to(at::kDouble)));
  CHECK_FALSE(agrees(one, at::full({5}, 100.0)));
  const at::Tensor nan = at::full({4}, std::numeric_limits<double>::quiet_NaN());
  CHECK(agrees(nan, nan));
  CHECK_FALSE(agrees(nan, one));
  CHECK_FALSE(agrees(at::ones({2}, at::kLong), at::zeros({2}, at::kLong)));
}

TEST_CASE("recording and exporting leave buffers, attributes and the training mode alone") {
  const auto module = model("    self.count.add_(1.0)\n    y = y + self.count");
  const at::Tensor input = at::randn({1, 3, 6, 6});
  const auto space = convert(module, input);
  space->select({5});
  const auto subnet = space->exportSubnet();
  const auto buffers = subnet->namedBuffers();
  REQUIRE(buffers.size() == 1);
  CHECK(buffers[0].tensor.item<float>() == module->namedBuffers()[0].tensor.item<float>());
}

TEST_CASE("state that one call leaves to the next is refused") {
  torch::jit::Module module("m");
  module.register_parameter("weight", at::randn({8, 4}), false);
  module.register_buffer("hidden", at::zeros({1, 8}));
  module.define(R"JIT(
def forward(self, x):
    y = torch.linear(x, self.weight) + self.hidden
    self.hidden = y
    return y
)JIT");
  const auto shared = std::make_shared<Module>(std::move(module));
  CHECK(codeOf([&] { convert(shared, at::randn({1, 4})); }) == "ERR_UNSUPPORTED_GRAPH");
  CHECK(shared->namedBuffers()[0].tensor.abs().max().item<float>() == 0);
}

}  // namespace torchsearch::testing

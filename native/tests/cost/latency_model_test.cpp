#include "core/cost/latency_model.h"

#include <cctype>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/cost/latency_design.h"
#include "core/space/search_space.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

constexpr int64_t kFirst = 12;
constexpr int64_t kSecond = 16;

torch::jit::Module twoWidths() {
  torch::jit::Module module("m");
  module.register_parameter("first", at::randn({kFirst, 3, 3, 3}), false);
  module.register_parameter("second", at::randn({kSecond, kFirst, 3, 3}), false);
  module.register_parameter("head", at::randn({4, kFirst + kSecond, 1, 1}), false);
  module.define(R"JIT(
def forward(self, x):
    a = torch.relu(torch.conv2d(x, self.first, None, [1, 1], [1, 1]))
    b = torch.relu(torch.conv2d(a, self.second, None, [1, 1], [1, 1]))
    return torch.conv2d(torch.cat([a, b], 1), self.head)
)JIT");
  return module;
}

// Each layer reads all earlier ones, as in DenseNet.
torch::jit::Module dense(int layers) {
  torch::jit::Module module("m");
  std::string code = "def forward(self, x):\n    y = x\n";
  int64_t channels = 3;
  for (int layer = 0; layer < layers; ++layer) {
    const std::string name = "w" + std::to_string(layer);
    module.register_parameter(name, at::randn({6 + layer, channels, 1, 1}), false);
    code += "    y = torch.cat([y, torch.relu(torch.conv2d(torch.relu(y), self." + name + "))], 1)\n";
    channels += 6 + layer;
  }
  module.register_parameter("head", at::randn({4, channels, 1, 1}), false);
  module.define(code + "    return torch.conv2d(y, self.head)\n");
  return module;
}

// Two widths, a concatenation of both, and a head that reads their sum; or another model.
struct Net {
  std::shared_ptr<const Program> program;
  std::unique_ptr<Dependencies> dependencies;
  std::vector<int64_t> smallest;
  std::vector<int64_t> full;
  std::vector<OperatorShape> shapes;

  explicit Net(torch::jit::Module module = twoWidths()) {
    const Recorded recorded(std::move(module), positional({at::randn({1, 3, 6, 6})}));
    program = recorded.program;
    dependencies = std::make_unique<Dependencies>(program);
    for (size_t g = 0; g < dependencies->groupCount(); ++g) {
      full.push_back(dependencies->groupSize(static_cast<int32_t>(g)));
      smallest.push_back(full.back() > 1 ? 4 : 1);
    }
    shapes = operatorShapes(*dependencies, smallest);
  }

  std::vector<WidthLevels> levels(int32_t points) const {
    std::vector<WidthLevels> all;
    for (size_t g = 0; g < full.size(); ++g) {
      if (full[g] < 2) continue;
      std::vector<int64_t> choices;
      for (int64_t width = smallest[g]; width <= full[g]; ++width) choices.push_back(width);
      all.push_back(widthLevels(static_cast<int32_t>(g), choices, points));
    }
    return all;
  }
};

const OperatorShape& shapeOf(const Net& net, const std::string& part, size_t which = 0) {
  for (const auto& shape : net.shapes) {
    if (shape.key.find(part) != std::string::npos && which-- == 0) return shape;
  }
  throw Error("ERR_INPUT", "no operator " + part);
}

// Milliseconds that depend on sizes in just the way that the model can represent.
double synthetic(const OperatorShape& shape, const std::vector<int64_t>& sizes) {
  if (sizes.size() > 2) return 1e-4 * shape.workAt(sizes) + 0.5;
  double ms = 0.1 + static_cast<double>(shape.key.size() % 7);
  for (size_t i = 0; i < sizes.size(); ++i) ms += static_cast<double>((i + 1) * sizes[i]) / 10;
  if (sizes.size() == 2) ms += static_cast<double>(sizes[0] * sizes[1]) / 100;
  return ms;
}

LatencyTable tableOf(const Net& net, const std::vector<std::vector<int64_t>>& subnets) {
  LatencyTable table;
  for (const auto& shape : net.shapes) {
    for (const auto& subnet : subnets) {
      const auto sizes = shape.sizesAt(subnet);
      table.add(shape.key, sizes, synthetic(shape, sizes));
    }
  }
  return table;
}

}  // namespace

TEST_CASE("a key tells an operator's shapes, with letters for what varies") {
  const Net net;
  CHECK(shapeOf(net, "conv2d").key.find("conv2d(Float[1,3,6,6], Float[a,3,3,3], None, [1, 1], [1, 1]") !=
        std::string::npos);
  CHECK(shapeOf(net, "conv2d", 1).key.find("(Float[1,a,6,6], Float[b,a,3,3], None") != std::string::npos);
  CHECK(shapeOf(net, "relu").key == "aten::relu(Float[1,a,6,6]) -> Float[1,a,6,6]");
  // Two relus at one place and shape are one entry; the head reads the sum of both widths.
  CHECK(shapeOf(net, "relu").key == shapeOf(net, "relu", 1).key);
  CHECK(shapeOf(net, "conv2d", 2).sizesAt(net.full) == std::vector<int64_t>{kFirst + kSecond});
  CHECK(shapeOf(net, "conv2d", 1).workAt({5, 7}) == 36 * 9 * 5 * 7 + 36 * 5 + 9 * 5 * 7);
}

TEST_CASE("the subnets to measure give all pairs of levels, and none that is known") {
  const Net net;
  const auto subnets = subnetsToMeasure(net.shapes, net.levels(3), net.full, {});
  const auto& conv = shapeOf(net, "conv2d", 1);
  const LatencyTable table = tableOf(net, subnets);
  CHECK(table.pointsOf(conv.key).size() >= 9);
  for (const int64_t a : {4, 8, 12}) {
    for (const int64_t b : {4, 10, 16}) CHECK(table.has(conv.key, {a, b}));
  }
  CHECK(subnets.size() < 15);
  CHECK(subnetsToMeasure(net.shapes, net.levels(3), net.full, table).empty());
  // More points than before: only those that are missing.
  const auto more = subnetsToMeasure(net.shapes, net.levels(5), net.full, table);
  CHECK(!more.empty());
  CHECK(more.size() < subnetsToMeasure(net.shapes, net.levels(5), net.full, {}).size());
}

TEST_CASE("an interpolated latency is exact where operators are bilinear in their sizes") {
  const Net net;
  const LatencyTable table = tableOf(net, subnetsToMeasure(net.shapes, net.levels(3), net.full, {}));
  const LatencyModel model(net.shapes, net.smallest, net.full, table);
  for (int64_t a = 4; a <= kFirst; ++a) {
    for (int64_t b = 4; b <= kSecond; ++b) {
      std::vector<int64_t> widths = net.full;
      for (size_t g = 0; g < widths.size(); ++g) {
        if (net.full[g] == kFirst) widths[g] = a;
        if (net.full[g] == kSecond) widths[g] = b;
      }
      double expected = 0;
      for (const auto& shape : net.shapes) expected += synthetic(shape, shape.sizesAt(widths));
      CHECK(model.at(widths) == doctest::Approx(expected).epsilon(1e-9));
    }
  }
}

TEST_CASE("sums of many widths are priced as exactly as single ones") {
  const Net net(dense(6));
  const LatencyTable table = tableOf(net, subnetsToMeasure(net.shapes, net.levels(3), net.full, {}));
  const LatencyModel model(net.shapes, net.smallest, net.full, table);
  torch::manual_seed(5);
  for (int sample = 0; sample < 40; ++sample) {
    std::vector<int64_t> widths = net.full;
    for (size_t g = 0; g < widths.size(); ++g) {
      widths[g] = at::randint(net.smallest[g], net.full[g] + 1, {1}).item<int64_t>();
    }
    double expected = 0;
    for (const auto& shape : net.shapes) expected += synthetic(shape, shape.sizesAt(widths));
    CHECK(model.at(widths) == doctest::Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE("a table that does not reach over all widths is refused, naming an operator") {
  const Net net;
  const auto refused = [&](const LatencyTable& table) {
    try {
      const LatencyModel model(net.shapes, net.smallest, net.full, table);
    } catch (const Error& error) {
      CHECK(error.code() == "ERR_LATENCY_TABLE_INCOMPLETE");
      CHECK(std::string(error.what()).find("aten::") != std::string::npos);
      return true;
    }
    return false;
  };
  CHECK(refused({}));
  CHECK(refused(tableOf(net, {net.full})));
  std::vector<int64_t> almost = net.full;
  for (auto& width : almost) width = width > 1 ? 5 : 1;
  CHECK(refused(tableOf(net, {almost, net.full})));
  // The two corners are enough: what makes no grid goes by work.
  CHECK(!refused(tableOf(net, {net.smallest, net.full})));
}

TEST_CASE("a space measures its operators in place, once, and adds them up") {
  torch::manual_seed(1);
  torch::jit::Module module("m");
  module.register_parameter("first", at::randn({16, 3, 3, 3}), false);
  module.register_parameter("second", at::randn({16, 16, 3, 3}), false);
  module.define(R"JIT(
def forward(self, x):
    return torch.conv2d(torch.relu(torch.conv2d(x, self.first)), self.second)
)JIT");
  const auto space = SearchSpace::convert(std::make_shared<Module>(std::move(module)),
                                          positional({at::randn({1, 3, 16, 16})}), {}, CancelToken(), {});
  LatencyOptions options;
  options.warmup = 1;
  options.repeats = 3;
  CHECK_THROWS_AS(space->cost({16}, Metric::kLatency), Error);
  const LatencyTable table = space->measureLatency({}, 3, options, CancelToken(), {});
  CHECK(table.all().size() == 3);
  CHECK(space->measureLatency(table, 3, options, CancelToken(), {}).all().empty());
  space->useLatencyTable(&table);
  double sum = 0;
  for (const auto& [key, points] : table.all()) {
    CHECK(points.size() == 2);
    sum += points.at({16});
  }
  CHECK(space->cost({16}, Metric::kLatency) == doctest::Approx(sum));
  CHECK(space->timeSubnets({{8}, {16}}, options, CancelToken(), {}).size() == 2);
  CancelToken cancelled;
  cancelled.cancel();
  CHECK_THROWS_AS(space->measureLatency({}, 3, options, cancelled, {}), Error);
}

}  // namespace torchsearch::testing

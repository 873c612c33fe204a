#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/space/search_space.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

std::shared_ptr<Module> moduleOf(const Shapes& parameters, const std::string& source) {
  torch::manual_seed(5);
  torch::jit::Module module("m");
  for (const auto& [name, shape] : parameters) module.register_parameter(name, at::randn(shape) * 0.3, false);
  module.define(source);
  return std::make_shared<Module>(std::move(module));
}

std::shared_ptr<SearchSpace> spaceOf(const std::shared_ptr<Module>& module, const at::Tensor& input) {
  SpaceOptions options;
  options.channelDivisor = 1;
  return SearchSpace::convert(module, positional({input}), options, CancelToken(), {});
}

at::Tensor run(Forwardable& model, const at::Tensor& input) {
  return model.forward(positional({input}), CancelToken()).toTensor();
}

std::map<std::string, const Hyperparameter*> byName(const SearchSpace& space) {
  std::map<std::string, const Hyperparameter*> result;
  for (const auto& hyperparameter : space.hyperparameters()) result[hyperparameter.name] = &hyperparameter;
  return result;
}

// Selects half of every hyperparameter; the exported subnet must compute the same, also at another batch.
void checkHalves(SearchSpace& space, const at::Tensor& input) {
  std::vector<int64_t> widths;
  for (const auto& hyperparameter : space.hyperparameters()) {
    widths.push_back(std::max<int64_t>(1, hyperparameter.full / 2));
  }
  space.select(widths);
  const at::Tensor selected = run(space, input);
  const auto subnet = space.exportSubnet();
  CHECK(at::allclose(run(*subnet, input), selected, 1e-5, 1e-6));
  int64_t elements = 0;
  for (const auto& parameter : subnet->namedParameters()) elements += parameter.tensor.numel();
  CHECK(static_cast<double>(elements) == space.cost(widths, Metric::kParams));
}

constexpr int64_t kHeads = 4;
constexpr int64_t kHeadDim = 3;
constexpr int64_t kWidth = kHeads * kHeadDim;

// Self attention as its definition reads (Vaswani et al., 2017), with `heads` heads of kHeadDim.
at::Tensor attention(const at::Tensor& x, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& out) {
  std::vector<at::Tensor> mixed;
  for (int64_t begin = 0; begin < q.size(0); begin += kHeadDim) {
    const auto head = [&](const at::Tensor& weight) {
      return at::matmul(x, weight.narrow(0, begin, kHeadDim).t());
    };
    const at::Tensor scores = at::matmul(head(q), head(k).transpose(-2, -1)) / std::sqrt(double(kHeadDim));
    mixed.push_back(at::matmul(at::softmax(scores, -1), head(v)));
  }
  return at::matmul(at::cat(mixed, -1), out.t());
}

at::Tensor parameter(const Module& module, const std::string& name) {
  for (const auto& item : module.namedParameters()) {
    if (item.name == name) return item.tensor;
  }
  return {};
}

}  // namespace

TEST_CASE("a fused projection of query, key and value is narrowed by whole heads") {
  const auto module = moduleOf({{"qkv", {3 * kWidth, 8}}, {"out", {8, kWidth}}}, R"JIT(
def forward(self, x):
    b, n, c = x.size()
    parts = torch.linear(x, self.qkv).reshape(b, n, 3, 4, 3).permute(2, 0, 3, 1, 4)
    q, k, v = parts.unbind(0)
    weights = torch.softmax(torch.matmul(q * 0.57735026919, k.transpose(-2, -1)), -1)
    return torch.linear(torch.matmul(weights, v).transpose(1, 2).reshape(b, n, -1), self.out)
)JIT");
  const at::Tensor input = at::randn({2, 5, 8});
  const auto space = spaceOf(module, input);
  const auto hyperparameters = byName(*space);
  REQUIRE(hyperparameters.size() == 1);
  CHECK(space->hyperparameters()[0].kind == HyperparameterKind::kNumHeads);
  CHECK(space->hyperparameters()[0].full == kHeads);
  CHECK(space->hyperparameters()[0].choices == std::vector<int64_t>{1, 2, 3, 4});

  space->select({3});
  const auto rows = parameter(*module, "qkv").chunk(3, 0);
  const int64_t kept = 3 * kHeadDim;
  const at::Tensor expected =
      attention(input, rows[0].narrow(0, 0, kept), rows[1].narrow(0, 0, kept), rows[2].narrow(0, 0, kept),
                parameter(*module, "out").narrow(1, 0, kept));
  CHECK(at::allclose(run(*space, input), expected, 1e-4, 1e-5));
  checkHalves(*space, input);
}

TEST_CASE("separate projections of query, key and value agree on the heads") {
  const auto module =
      moduleOf({{"q", {kWidth, 8}}, {"k", {kWidth, 8}}, {"v", {kWidth, 8}}, {"out", {8, kWidth}}}, R"JIT(
def forward(self, x):
    b, n, c = x.size()
    q = torch.linear(x, self.q).view(b, n, 4, 3).transpose(1, 2)
    k = torch.linear(x, self.k).view(b, n, 4, 3).transpose(1, 2)
    v = torch.linear(x, self.v).view(b, n, 4, 3).transpose(1, 2)
    weights = torch.softmax(torch.matmul(q, k.transpose(-2, -1)) / 1.73205080757, -1)
    return torch.linear(torch.matmul(weights, v).transpose(1, 2).reshape(b, n, -1), self.out)
)JIT");
  const at::Tensor input = at::randn({2, 5, 8});
  const auto space = spaceOf(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->hyperparameters()[0].kind == HyperparameterKind::kNumHeads);
  space->select({2});
  const auto rows = [&](const char* name) { return parameter(*module, name).narrow(0, 0, 2 * kHeadDim); };
  const at::Tensor expected =
      attention(input, rows("q"), rows("k"), rows("v"), parameter(*module, "out").narrow(1, 0, 2 * kHeadDim));
  CHECK(at::allclose(run(*space, input), expected, 1e-4, 1e-5));
  checkHalves(*space, input);
}

TEST_CASE("a batch of one does not hide the heads, and other batches run") {
  const auto module = moduleOf({{"qkv", {3 * kWidth, 8}}, {"out", {8, kWidth}}}, R"JIT(
def forward(self, x):
    n, b, c = x.size()
    parts = torch.linear(x, self.qkv).view(n, b, 3, 12).unsqueeze(0).transpose(0, -2).squeeze(-2)
    q = parts[0].reshape(n, b * 4, 3).transpose(0, 1)
    k = parts[1].reshape(n, b * 4, 3).transpose(0, 1)
    v = parts[2].reshape(n, b * 4, 3).transpose(0, 1)
    weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)), -1)
    return torch.linear(torch.bmm(weights, v).transpose(0, 1).reshape(n, b, -1), self.out)
)JIT");
  const at::Tensor input = at::randn({5, 1, 8});
  const auto space = spaceOf(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->hyperparameters()[0].kind == HyperparameterKind::kNumHeads);
  CHECK(space->hyperparameters()[0].full == kHeads);
  space->select({2});
  const at::Tensor three = at::randn({5, 3, 8});
  const at::Tensor together = run(*space, three);
  for (int64_t i = 0; i < 3; ++i) {
    CHECK(at::allclose(together.narrow(1, i, 1), run(*space, three.narrow(1, i, 1)), 1e-4, 1e-5));
  }
}

TEST_CASE("a channel shuffle drops the same channels of every group") {
  const auto module =
      moduleOf({{"first", {12, 3, 1, 1}}, {"depthwise", {12, 1, 3, 3}}, {"last", {2, 12, 1, 1}}}, R"JIT(
def forward(self, x):
    y = torch.conv2d(x, self.first)
    b, c, h, w = y.size()
    y = y.view(b, 3, 4, h, w).transpose(1, 2).contiguous().view(b, -1, h, w)
    y = torch.conv2d(y, self.depthwise, None, [1, 1], [1, 1], [1, 1], 12)
    return torch.conv2d(y, self.last)
)JIT");
  const at::Tensor input = at::randn({2, 3, 5, 5});
  const auto space = spaceOf(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->hyperparameters()[0].full == 4);
  CHECK(space->hyperparameters()[0].kind == HyperparameterKind::kOutChannels);
  space->select({3});
  // What is left of a group of four are its first three, so the shuffle is that of 3 groups of 3.
  const at::Tensor first =
      parameter(*module, "first").view({3, 4, 3, 1, 1}).narrow(1, 0, 3).reshape({9, 3, 1, 1});
  const at::Tensor depthwise =
      parameter(*module, "depthwise").view({4, 3, 1, 3, 3}).narrow(0, 0, 3).reshape({9, 1, 3, 3});
  const at::Tensor last =
      parameter(*module, "last").view({2, 4, 3, 1, 1}).narrow(1, 0, 3).reshape({2, 9, 1, 1});
  const at::Tensor shuffled = at::channel_shuffle(at::conv2d(input, first), 3);
  const at::Tensor expected = at::conv2d(at::conv2d(shuffled, depthwise, {}, 1, 1, 1, 9), last);
  CHECK(at::allclose(run(*space, input), expected, 1e-4, 1e-5));
  checkHalves(*space, input);
}

TEST_CASE("a grouped convolution with few wide groups drops the same channels of every group") {
  const auto module =
      moduleOf({{"first", {12, 3, 1, 1}}, {"grouped", {8, 6, 3, 3}}, {"last", {2, 8, 1, 1}}}, R"JIT(
def forward(self, x):
    y = torch.conv2d(torch.conv2d(x, self.first), self.grouped, None, [1, 1], [1, 1], [1, 1], 2)
    return torch.conv2d(y, self.last)
)JIT");
  const at::Tensor input = at::randn({2, 3, 5, 5});
  const auto space = spaceOf(module, input);
  const auto hyperparameters = byName(*space);
  REQUIRE(hyperparameters.size() == 2);
  CHECK(hyperparameters.at("first")->full == 6);
  CHECK(hyperparameters.at("grouped")->full == 4);
  std::vector<int64_t> widths;
  for (const auto& hyperparameter : space->hyperparameters())
    widths.push_back(hyperparameter.full == 6 ? 5 : 3);
  space->select(widths);
  const at::Tensor first =
      parameter(*module, "first").view({2, 6, 3, 1, 1}).narrow(1, 0, 5).reshape({10, 3, 1, 1});
  const at::Tensor grouped = parameter(*module, "grouped")
                                 .view({2, 4, 6, 3, 3})
                                 .narrow(1, 0, 3)
                                 .narrow(2, 0, 5)
                                 .reshape({6, 5, 3, 3});
  const at::Tensor last =
      parameter(*module, "last").view({2, 2, 4, 1, 1}).narrow(2, 0, 3).reshape({2, 6, 1, 1});
  const at::Tensor expected = at::conv2d(at::conv2d(at::conv2d(input, first), grouped, {}, 1, 1, 1, 2), last);
  CHECK(at::allclose(run(*space, input), expected, 1e-4, 1e-5));
  checkHalves(*space, input);
}

TEST_CASE("a grouped convolution with many narrow groups drops whole groups") {
  const auto module =
      moduleOf({{"first", {12, 3, 1, 1}}, {"grouped", {12, 2, 3, 3}}, {"last", {2, 12, 1, 1}}}, R"JIT(
def forward(self, x):
    y = torch.conv2d(torch.conv2d(x, self.first), self.grouped, None, [1, 1], [1, 1], [1, 1], 6)
    return torch.conv2d(y, self.last)
)JIT");
  const at::Tensor input = at::randn({2, 3, 5, 5});
  const auto space = spaceOf(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->hyperparameters()[0].full == 6);
  checkHalves(*space, input);
}

TEST_CASE("a factor that is summed over stays whole") {
  const auto module = moduleOf({{"first", {12, 3, 1, 1}}, {"last", {2, 6, 1, 1}}}, R"JIT(
def forward(self, x):
    y = torch.conv2d(x, self.first)
    b, c, h, w = y.size()
    return torch.conv2d(y.view(b, 2, 6, h, w).sum(1), self.last)
)JIT");
  const at::Tensor input = at::randn({2, 3, 5, 5});
  const auto space = spaceOf(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->hyperparameters()[0].full == 6);
  checkHalves(*space, input);
}

// Graph attention (Velickovic et al., 2018) over a complete graph: each head's scores are sums of two
// numbers.
TEST_CASE("a graph attention is narrowed by whole heads, however its scores are written") {
  constexpr int64_t kNodes = 5;
  const char* const forward = R"JIT(
def forward(self, x):
    h = torch.linear(x, self.project).view(-1, 3, 8)
    mine, other = SCORES
    weights = torch.softmax(torch.leaky_relu(mine.unsqueeze(1) + other.unsqueeze(0), 0.2), 1)
    return torch.linear(torch.einsum('ijh,jhd->ihd', [weights, h]).flatten(1), self.out)
)JIT";
  for (const std::string scores :
       {"(h * self.a).sum(-1), (self.b * h).sum(-1)",
        "torch.einsum('nhd,hd->nh', [h, self.a]), torch.einsum('hd,nhd->nh', [self.b, h])",
        "torch.matmul(h.unsqueeze(2), self.a.unsqueeze(-1)).flatten(1), "
        "torch.matmul(h.unsqueeze(2), self.b.unsqueeze(-1)).flatten(1)"}) {
    std::string source = forward;
    source.replace(source.find("SCORES"), 6, scores);
    const auto module =
        moduleOf({{"project", {24, 6}}, {"a", {3, 8}}, {"b", {3, 8}}, {"out", {2, 24}}}, source);
    const at::Tensor input = at::randn({kNodes, 6});
    const auto space = spaceOf(module, input);
    REQUIRE(space->hyperparameters().size() == 1);
    CHECK(space->hyperparameters()[0].kind == HyperparameterKind::kNumHeads);
    CHECK(space->hyperparameters()[0].full == 3);
    space->select({2});
    at::Tensor expected = at::zeros({kNodes, 2});
    for (int64_t head = 0; head < 2; ++head) {
      const at::Tensor h = at::matmul(input, parameter(*module, "project").narrow(0, 8 * head, 8).t());
      const auto scoresOf = [&](const char* name) { return at::mv(h, parameter(*module, name)[head]); };
      const at::Tensor sums = scoresOf("a").unsqueeze(1) + scoresOf("b").unsqueeze(0);
      const at::Tensor mixed = at::matmul(at::softmax(at::leaky_relu(sums, 0.2), 1), h);
      expected += at::matmul(mixed, parameter(*module, "out").narrow(1, 8 * head, 8).t());
    }
    CHECK(at::allclose(run(*space, input), expected, 1e-4, 1e-5));
    checkHalves(*space, input);
  }
}

TEST_CASE("heads that are averaged keep their width the one to narrow") {
  const auto module = moduleOf({{"project", {24, 6}}, {"a", {3, 8}}, {"b", {3, 8}}, {"out", {2, 8}}}, R"JIT(
def forward(self, x):
    h = torch.linear(x, self.project).view(-1, 3, 8)
    weights = torch.softmax((h * self.a).sum(-1).unsqueeze(1) + (h * self.b).sum(-1).unsqueeze(0), 1)
    return torch.linear(torch.einsum('ijh,jhd->ihd', [weights, h]).mean(1), self.out)
)JIT");
  const at::Tensor input = at::randn({5, 6});
  const auto space = spaceOf(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->hyperparameters()[0].full == 8);
  checkHalves(*space, input);
}

TEST_CASE("a head's width that is split into pairs of a rotation leaves the heads to narrow") {
  const auto module =
      moduleOf({{"q", {24, 8}}, {"k", {24, 8}}, {"v", {24, 8}}, {"out", {5, 24}}, {"angle", {7, 3}}}, R"JIT(
def forward(self, x):
    b, n, c = x.size()
    turn = torch.polar(torch.ones([7, 3]), self.angle).unsqueeze(1)
    q = torch.view_as_complex(torch.linear(x, self.q).view(b, n, 4, 6).reshape(b, n, 4, 3, 2))
    k = torch.view_as_complex(torch.linear(x, self.k).view(b, n, 4, 6).reshape(b, n, 4, 3, 2))
    q = torch.view_as_real(q * turn).flatten(3).transpose(1, 2)
    k = torch.view_as_real(k * turn).flatten(3).transpose(1, 2)
    v = torch.linear(x, self.v).view(b, n, 4, 6).transpose(1, 2)
    weights = torch.softmax(torch.matmul(q * 0.40824829046, k.transpose(-2, -1)), -1)
    return torch.linear(torch.matmul(weights, v).transpose(1, 2).reshape(b, n, -1), self.out)
)JIT");
  const at::Tensor input = at::randn({2, 7, 8});
  const auto space = spaceOf(module, input);
  REQUIRE(space->hyperparameters().size() == 1);
  CHECK(space->hyperparameters()[0].kind == HyperparameterKind::kNumHeads);
  CHECK(space->hyperparameters()[0].full == 4);

  space->select({3});
  const at::Tensor cosine = parameter(*module, "angle").cos();
  const at::Tensor sine = parameter(*module, "angle").sin();
  // Su et al., 2021: each pair of a head's channels turns by an angle of its own.
  const auto turned = [&](const at::Tensor& head) {
    const at::Tensor even = head.slice(2, 0, 6, 2);
    const at::Tensor odd = head.slice(2, 1, 6, 2);
    return at::stack({even * cosine - odd * sine, even * sine + odd * cosine}, -1).flatten(2);
  };
  std::vector<at::Tensor> mixed;
  for (int64_t head = 0; head < 3; ++head) {
    const auto project = [&](const char* name) {
      return at::matmul(input, parameter(*module, name).narrow(0, 6 * head, 6).t());
    };
    const at::Tensor scores = at::matmul(turned(project("q")), turned(project("k")).transpose(-2, -1));
    mixed.push_back(at::matmul(at::softmax(scores / std::sqrt(6.0), -1), project("v")));
  }
  const at::Tensor expected = at::matmul(at::cat(mixed, -1), parameter(*module, "out").narrow(1, 0, 18).t());
  CHECK(at::allclose(run(*space, input), expected, 1e-4, 1e-5));
  checkHalves(*space, input);
}

TEST_CASE("factors that fit no boundary keep the channels whole") {
  const auto module = moduleOf({{"first", {12, 3}}, {"last", {2, 8}}}, R"JIT(
def forward(self, x):
    return torch.linear(torch.linear(x, self.first).view(3, 8), self.last)
)JIT");
  const auto space = spaceOf(module, at::randn({2, 3}));
  CHECK(space->hyperparameters().empty());
}

TEST_CASE("a traced fused attention kernel becomes operators with the same result, and heads") {
  const auto module = moduleOf({{"qkv", {3 * kWidth, kWidth}},
                                {"qkv_bias", {3 * kWidth}},
                                {"out", {kWidth, kWidth}},
                                {"out_bias", {kWidth}},
                                {"head", {2, kWidth}}},
                               R"JIT(
def forward(self, x):
    y, weights = torch._native_multi_head_attention(x, x, x, 12, 4, self.qkv, self.qkv_bias, self.out,
                                                    self.out_bias, None, True, True, None)
    return torch.linear(torch.cat([y, torch.matmul(weights, y)], 1), self.head)
)JIT");
  const at::Tensor input = at::randn({2, 5, kWidth});
  const at::Tensor fused = run(*module, input);
  const auto space = spaceOf(module, input);
  CHECK(at::allclose(run(*space, input), fused, 1e-4, 1e-5));
  const auto& all = space->hyperparameters();
  const auto heads = std::count_if(all.begin(), all.end(), [](const Hyperparameter& hyperparameter) {
    return hyperparameter.kind == HyperparameterKind::kNumHeads && hyperparameter.full == kHeads;
  });
  CHECK(heads == 1);
  checkHalves(*space, input);
}

}  // namespace torchsearch::testing

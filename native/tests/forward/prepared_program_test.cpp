#include "core/forward/prepared_program.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/device/exposed_memory.h"
#include "core/forward/fused_steps.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

void addNorm(torch::jit::Module& module, const std::string& name, int64_t channels) {
  module.register_parameter(name + "_w", at::rand({channels}) + 0.5, false);
  module.register_parameter(name + "_b", at::randn({channels}), false);
  module.register_buffer(name + "_m", at::randn({channels}));
  module.register_buffer(name + "_v", at::rand({channels}) + 0.5);
}

// Two residual blocks, the second with a convolution beside it, which its sum meets later than the branch.
const char* const kBlocks = R"JIT(
def norm(self, x, w, b, m, v):
    return torch.batch_norm(x, w, b, m, v, False, 0.1, 1e-5, False)
def forward(self, x):
    x = torch.relu_(self.norm(torch.conv2d(x, self.stem, None, [1, 1], [1, 1]), self.n0_w, self.n0_b, self.n0_m, self.n0_v))
    y = torch.relu_(self.norm(torch.conv2d(x, self.c1, None, [1, 1], [1, 1]), self.n1_w, self.n1_b, self.n1_m, self.n1_v))
    y = self.norm(torch.conv2d(y, self.c2, self.bias, [1, 1], [1, 1]), self.n2_w, self.n2_b, self.n2_m, self.n2_v)
    y += x
    x = torch.relu_(y)
    y = torch.conv2d(x, self.c3, None, [1, 1], [1, 1])
    z = torch.conv2d(x, self.c4, None)
    x = torch.hardtanh(torch.add(y, z), 0., 6.)
    x = torch.flatten(torch.adaptive_avg_pool2d(x, [2, 2]), 1)
    return torch.linear(x, self.fc, self.fc_b)
)JIT";

torch::jit::Module blocks(int64_t width) {
  torch::jit::Module module("m");
  module.register_parameter("stem", at::randn({width, 3, 3, 3}) * 0.2, false);
  for (const char* name : {"c1", "c2", "c3"}) {
    module.register_parameter(name, at::randn({width, width, 3, 3}) * 0.1, false);
  }
  module.register_parameter("c4", at::randn({width, width, 1, 1}) * 0.1, false);
  module.register_parameter("bias", at::randn({width}), false);
  module.register_parameter("fc", at::randn({10, width * 4}), false);
  module.register_parameter("fc_b", at::randn({10}), false);
  for (const char* name : {"n0", "n1", "n2"}) addNorm(module, name, width);
  module.define(kBlocks);
  return module;
}

struct Prepared {
  Recorded recorded;
  std::shared_ptr<const ExecutionPlan> plan;
  std::shared_ptr<WeightCache> cache = std::make_shared<WeightCache>(1 << 24);
  ProgramPreparer preparer;
  Bindings plain;
  Bindings bindings;

  Prepared(torch::jit::Module module, std::vector<at::Tensor> inputs)
      : recorded(std::move(module), positional(std::move(inputs))),
        plan(std::make_shared<const ExecutionPlan>(recorded.program)),
        preparer(plan, cache),
        plain(bindModule(*recorded.program, recorded.module)),
        bindings(plain) {
    preparer.prepare(bindings);
  }

  at::Tensor run(const Bindings& with, const RunOptions& options = {}) const {
    const at::NoGradGuard noGrad;
    std::vector<at::Tensor> inputs;
    for (const auto& tensor : recorded.tensors) inputs.push_back(tensor.clone());
    return Executor(plan).run(with, inputs, CancelToken(), options).toTensor();
  }

  int count(PreparedProgram::Role role) const {
    int found = 0;
    for (int32_t i = 0; i < plan->instructionCount(); ++i)
      found += bindings.prepared->roleOf(i) == role ? 1 : 0;
    return found;
  }
};

bool close(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && at::allclose(a, b, 1e-4, 1e-4 * b.abs().max().item<double>());
}

torch::jit::Module withParameter(const at::Tensor& weight, const std::string& body) {
  torch::jit::Module module("m");
  module.register_parameter("weight", weight, false);
  module.define("def forward(self, x):\n" + body);
  return module;
}

}  // namespace

TEST_CASE("a prepared program gives what the plain one gives, large and small") {
  for (const auto& [width, batch, side] :
       std::vector<std::array<int64_t, 3>>{{32, 4, 16}, {8, 1, 8}, {16, 8, 8}, {64, 1, 7}}) {
    CAPTURE(width);
    const Prepared prepared(blocks(width), {at::randn({batch, 3, side, side})});
    CHECK(close(prepared.run(prepared.bindings), prepared.run(prepared.plain)));
    // Three norms, both additions, and three activations and one hardtanh go with five convolutions; the pool
    // and the flattening stay.
    CHECK_EQ(prepared.count(PreparedProgram::Role::kStep), 6);
    CHECK_EQ(prepared.count(PreparedProgram::Role::kAbsorbed), 9);
  }
}

TEST_CASE("a prepared run is captured and resumed at every boundary that is not amid a step") {
  const Prepared prepared(blocks(32), {at::randn({2, 3, 16, 16})});
  const at::Tensor expected = prepared.run(prepared.bindings);
  int boundaries = 0;
  for (int32_t i = 0; i < prepared.plan->instructionCount(); ++i) {
    CAPTURE(i);
    std::vector<Activations> captured(1);
    captured[0].instruction = i;
    RunOptions capture;
    capture.captures = &captured;
    if (!prepared.bindings.prepared->canStopBefore(i)) {
      CHECK_THROWS(prepared.run(prepared.bindings, capture));
      continue;
    }
    ++boundaries;
    CHECK(at::equal(prepared.run(prepared.bindings, capture), expected));
    RunOptions resume;
    resume.resumeFrom = &captured[0];
    for (int run = 0; run < 2; ++run) CHECK(at::equal(prepared.run(prepared.bindings, resume), expected));
  }
  CHECK_GE(boundaries, 6);
}

TEST_CASE("preparing copies what it changes: weights stay as they were, and edits are seen") {
  Prepared prepared(blocks(16), {at::randn({8, 3, 8, 8})});
  std::vector<at::Tensor> before;
  for (const auto& parameter : prepared.recorded.module.parameters()) before.push_back(parameter.clone());
  prepared.run(prepared.bindings);
  size_t i = 0;
  for (const auto& parameter : prepared.recorded.module.parameters())
    CHECK(at::equal(parameter, before[i++]));

  CHECK(prepared.bindings.prepared->isCurrent());
  const int64_t bytes = prepared.cache->bytes();
  Bindings again = prepared.plain;
  prepared.preparer.prepare(again);
  CHECK_EQ(prepared.cache->bytes(), bytes);

  at::Tensor weight = prepared.recorded.module.attr("c1").toTensor();
  {
    const at::NoGradGuard noGrad;
    weight.mul_(2);
  }
  CHECK_FALSE(prepared.bindings.prepared->isCurrent());
  again = prepared.plain;
  prepared.preparer.prepare(again);
  CHECK(close(prepared.run(again), prepared.run(prepared.plain)));

  // Written without LibTorch's knowledge, as a typed array of JavaScript is.
  exposeMemory(weight);
  again = prepared.plain;
  prepared.preparer.prepare(again);
  CHECK(again.prepared->isCurrent());
  weight.mutable_data_ptr<float>()[3] += 10;
  CHECK_FALSE(again.prepared->isCurrent());
  again = prepared.plain;
  prepared.preparer.prepare(again);
  CHECK(close(prepared.run(again), prepared.run(prepared.plain)));
}

TEST_CASE("narrow weights of a subnet are prepared as such") {
  Prepared prepared(blocks(32), {at::randn({4, 3, 16, 16})});
  const auto& slots = prepared.recorded.program->slots;
  Bindings subnet = prepared.plain;
  for (size_t slot = 0; slot < slots.size(); ++slot) {
    if (!slots[slot].isStored()) continue;
    auto& value = subnet.values[slot];
    if (slots[slot].name == "c1" || slots[slot].name.rfind("n1_", 0) == 0) value = value.narrow(0, 0, 12);
    if (slots[slot].name == "c2") value = value.narrow(1, 0, 12);
  }
  Bindings bound = subnet;
  prepared.preparer.prepare(bound);
  CHECK(close(prepared.run(bound), prepared.run(subnet)));
  // Where norms compute their statistics, the weights are copied and nothing more.
  Bindings contiguous = subnet;
  prepared.preparer.makeContiguous(contiguous);
  CHECK(contiguous.prepared == nullptr);
  CHECK(std::all_of(contiguous.values.begin(), contiguous.values.end(),
                    [](const at::Tensor& value) { return !value.defined() || value.is_contiguous(); }));
  CHECK(close(prepared.run(contiguous), prepared.run(subnet)));
}

TEST_CASE("what else sees a value between two operators keeps them apart") {
  const auto x = [] { return std::vector<at::Tensor>{at::randn({8, 16, 12, 12})}; };
  const auto weight = [] { return at::randn({16, 16, 3, 3}) * 0.1; };
  const std::vector<std::string> bodies = {
      // read again after the activation; returned; written through a view; viewed before the activation
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  return torch.relu(y) - y\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  z = torch.relu_(y)\n  return y * z\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  v = y.view([8, -1])\n  v.mul_(2.)\n  return "
      "torch.relu(y)\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  v = y.view([8, -1])\n  torch.relu_(y)\n  return v\n",
      // the addend changes in between; is the sum's own operand; is made later; broadcasts
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  x = x.mul_(2.)\n  return torch.relu(y + x)\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  return torch.relu(y + y)\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  return torch.sigmoid(y.add_(torch.tanh(x)))\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  return torch.relu(y + x[:1])\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  x += y\n  return torch.relu(x)\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  return torch.add(y, x, alpha=2)\n",
      // layouts: views and permutations of a channels-last result
      "  y = torch.conv2d(x, self.weight, None, 1, 1).view([8, 4, 4, 12, 12])\n  return torch.transpose(y, "
      "1, 2).reshape([8, 16, 12, 12])\n",
      "  y = torch.relu(torch.conv2d(x, self.weight, None, 1, 1))\n  z = y.permute([0, 2, 3, 1])\n  "
      "z.mul_(3.)\n  return y.view([8, -1])\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  z = torch.max_pool2d(torch.cat([y, x], 1), 2)\n  "
      "return z.view([8, -1])\n",
      "  y = torch.conv2d(x, self.weight, None, 1, 1)\n  y[:, 0] = 1.\n  return torch.relu(y)\n",
  };
  for (const auto& body : bodies) {
    CAPTURE(body);
    const Prepared prepared(withParameter(weight(), body), x());
    CHECK(close(prepared.run(prepared.bindings), prepared.run(prepared.plain)));
  }
}

TEST_CASE("every activation, alone and after an addition, on packed and plain kernels") {
  const std::vector<std::string> activations = {
      "torch.relu(y)",
      "torch.hardtanh(y, -0.5, 0.7)",
      "torch.leaky_relu(y, 0.2)",
      "torch.hardswish(y)",
      "torch.hardsigmoid(y)",
      "torch.silu(y)",
      "torch.sigmoid(y)",
      "torch.tanh(y)",
      "torch.gelu(y)",
      "torch.gelu(y, approximate='tanh')",
      "torch.relu6(y)",
      "torch.elu(y)",
  };
  for (const auto& activation : activations) {
    CAPTURE(activation);
    for (const bool added : {false, true}) {
      for (const int64_t batch : {1, 16}) {
        const std::string tail =
            (added ? "  y = y + x\n" : "") + std::string("  return ") + activation + "\n";
        const Prepared convolution(withParameter(at::randn({16, 16, 3, 3}) * 0.1,
                                                 "  y = torch.conv2d(x, self.weight, None, 1, 1)\n" + tail),
                                   {at::randn({batch, 16, 10, 10})});
        CHECK(close(convolution.run(convolution.bindings), convolution.run(convolution.plain)));
        const Prepared linear(
            withParameter(at::randn({96, 96}) * 0.1, "  y = torch.linear(x, self.weight)\n" + tail),
            {at::randn({batch, 30, 96})});
        CHECK(close(linear.run(linear.bindings), linear.run(linear.plain)));
      }
    }
  }
}

TEST_CASE("a model with weights that are no numbers runs as it was recorded") {
  at::Tensor weight = at::randn({16, 16, 3, 3});
  weight[0][1][2][0] = std::numeric_limits<float>::quiet_NaN();
  const Prepared prepared(
      withParameter(weight, "  return torch.relu(torch.conv2d(x, self.weight, None, 1, 1))\n"),
      {at::randn({16, 16, 10, 10})});
  CHECK(prepared.bindings.prepared == nullptr);
  CHECK(prepared.run(prepared.bindings).isnan().any().item<bool>());
}

TEST_CASE("double precision is folded, half precision left alone; grouped and strided convolutions") {
  const std::string body =
      "  return torch.relu(torch.conv2d(x, self.weight, None, [2, 1], [1, 2], [1, 2], 4))\n";
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const Prepared prepared(withParameter(at::randn({32, 4, 3, 3}).to(dtype), body),
                            {at::randn({4, 16, 20, 20}).to(dtype)});
    CHECK(close(prepared.run(prepared.bindings), prepared.run(prepared.plain)));
    CHECK_EQ(prepared.count(PreparedProgram::Role::kStep), 1);
  }
  const Prepared half(withParameter(at::randn({32, 4, 3, 3}).to(at::kBFloat16), body),
                      {at::randn({4, 16, 20, 20}).to(at::kBFloat16)});
  CHECK_EQ(half.count(PreparedProgram::Role::kStep), 0);
  CHECK(at::equal(half.run(half.bindings), half.run(half.plain)));
}

}  // namespace torchsearch::testing

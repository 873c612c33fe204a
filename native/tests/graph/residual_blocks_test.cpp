#include "core/graph/residual_blocks.h"

#include <string>
#include <vector>

#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

using Substitute = ResidualBlock::Substitute;

// Six 3x3 convolutions of 4 channels, w0 … w5, and what `forward` makes of them; conv(x, w) keeps x's shape.
struct Case {
  torch::jit::Module module{"m"};
  at::Tensor input;
  std::shared_ptr<InlinedGraph> graph;
  std::shared_ptr<Program> program;
  ResidualBlocks found;

  explicit Case(const std::string& forward) {
    torch::manual_seed(5);
    input = at::randn({2, 4, 5, 5});
    for (int i = 0; i < 6; ++i) {
      module.register_parameter("w" + std::to_string(i), at::randn({4, 4, 3, 3}) * 0.2, false);
    }
    module.register_parameter("table", at::randn({5, 5}), false);
    module.register_attribute("training", c10::BoolType::get(), true);
    module.register_attribute("residual", c10::BoolType::get(), true);
    module.define("def conv(self, x, w):\n    return torch.conv2d(x, w, None, [1, 1], [1, 1])\n");
    module.define(forward);
    module.eval();
    graph = InlinedGraph::copyOf(module, InlinedGraph::FusedAttention::kKeep);
    RecordOptions options;
    options.speculate = true;
    program = record(graph, positional({input}), options, CancelToken()).program;
    found = findResidualBlocks(*program);
  }

  at::Tensor without(const std::vector<bool>& kept) {
    const auto shortened = std::make_shared<const Program>(withoutBlocks(*program, found, kept));
    Executor executor(std::make_shared<const ExecutionPlan>(shortened));
    const at::Tensor given = input.clone();
    const at::Tensor result =
        executor.run(bindModule(*program, module), {given}, CancelToken()).toTensor().clone();
    CHECK(at::equal(given, input));  // nothing was written into the input
    return result;
  }

  at::Tensor conv(const at::Tensor& x, int w) const {
    return at::conv2d(x, module.attr("w" + std::to_string(w)).toTensor(), {}, {1, 1}, {1, 1});
  }

  const Condition& stored(const std::string& name) const {
    for (size_t i = 0; i < program->slots.size(); ++i) {
      if (program->slots[i].name == name) return found.liveness.stored[i];
    }
    throw std::runtime_error("no " + name);
  }
};

bool close(const at::Tensor& a, const at::Tensor& b) {
  return at::allclose(a, b, 1e-5, 1e-6);
}

}  // namespace

TEST_CASE("a block left out gives what it was given") {
  Case model(R"JIT(
def forward(self, x):
    a = self.conv(x, self.w0)
    b = a + self.conv(torch.relu(self.conv(a, self.w1)), self.w2)
    return self.conv(b, self.w3)
)JIT");
  REQUIRE(model.found.blocks.size() == 1);
  CHECK(model.found.blocks[0].substitute == Substitute::kSame);
  const at::Tensor a = model.conv(model.input, 0);
  CHECK(close(model.without({true}), model.conv(a + model.conv(at::relu(model.conv(a, 1)), 2), 3)));
  CHECK(close(model.without({false}), model.conv(a, 3)));
  CHECK(model.stored("w1") == Condition::allOf({0}));
  CHECK(model.stored("w3").isAlways());
}

TEST_CASE("the operands' order does not matter, and in-place additions are additions") {
  for (const char* sum : {"f + x", "f.add_(x)", "torch.add(x, f)"}) {
    CAPTURE(sum);
    Case model(std::string("def forward(self, x):\n    f = self.conv(x, self.w0)\n    return ") + sum + "\n");
    REQUIRE(model.found.blocks.size() == 1);
    CHECK(close(model.without({false}), model.input));
  }
}

TEST_CASE("a sum that is written in place is a copy of what is left") {
  Case model(R"JIT(
def forward(self, x):
    f = self.conv(x, self.w0)
    f += x
    y = torch.relu_(f)
    return y - x
)JIT");
  REQUIRE(model.found.blocks.size() == 1);
  CHECK(model.found.blocks[0].substitute == Substitute::kCopy);
  CHECK(close(model.without({false}), at::relu(model.input) - model.input));
}

TEST_CASE("an operand that the block's own first operator writes is kept as written") {
  Case model(R"JIT(
def forward(self, x):
    a = self.conv(x, self.w0)
    h = torch.relu_(a)
    return a + self.conv(h, self.w1)
)JIT");
  REQUIRE(model.found.blocks.size() == 1);
  CHECK(close(model.without({false}), at::relu(model.conv(model.input, 0))));
}

TEST_CASE("an operand that was written since the branch read it is no block's input") {
  Case model(R"JIT(
def forward(self, x):
    a = self.conv(x, self.w0)
    h = self.conv(a, self.w1)
    a += 1
    return a + h
)JIT");
  CHECK(model.found.blocks.empty());
}

TEST_CASE("what is not x + f(x) is no block") {
  const std::vector<std::string> bodies = {
      // Both sides compute: a downsampling block.
      "    return self.conv(x, self.w0) + self.conv(x, self.w1)",
      // Other shapes, other scale.
      "    return x + self.conv(x, self.w0).mean([2, 3], True)",
      "    return torch.add(x, self.conv(x, self.w0), alpha=2)", "    return x - self.conv(x, self.w0)",
      // Activation functions that are written out (GELU's approximation).
      "    return 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.044715 * x * x * x)))",
      // The branch, or something in it, serves others too.
      "    f = self.conv(x, self.w0)\n    return (x + f) * f",
      "    h = self.conv(x, self.w0)\n    return torch.cat([x + self.conv(h, self.w1), h], 1)",
      "    h = self.conv(x, self.w0)\n    y = x + self.conv(h, self.w1)\n    return y.view(h.size(0), -1)",
      "    f = self.conv(x, self.w0)\n    f.add_(x)\n    return f.relu()",
      // Crossing, as in a ladder.
      "    a = self.conv(x, self.w0)\n    b = self.conv(a, self.w1)\n    return (x + b) + (a + self.conv(b, "
      "self.w2))",
      // A loop's addition is one operator of the graph.
      "    for i in range(2):\n        x = x + self.conv(x, self.w0)\n    return x"};
  for (const auto& body : bodies) {
    CAPTURE(body);
    CHECK(Case("def forward(self, x):\n" + body + "\n").found.blocks.empty());
  }
}

TEST_CASE("nested blocks go with the outer one") {
  Case model(R"JIT(
def forward(self, x):
    a = self.conv(x, self.w0)
    b = a + self.conv(a, self.w1)
    return x + self.conv(b, self.w2)
)JIT");
  REQUIRE(model.found.blocks.size() == 2);
  const at::Tensor a = model.conv(model.input, 0);
  CHECK(close(model.without({false, true}), model.input + model.conv(a, 2)));
  CHECK(close(model.without({true, false}), model.input));
  CHECK(close(model.without({false, false}), model.input));
  CHECK(model.stored("w0") == Condition::allOf({1}));
  CHECK(model.stored("w1") == Condition::allOf({0, 1}));
}

TEST_CASE("blocks side by side may share their norm") {
  const std::vector<std::string> sums = {"(x + f) + g", "g + (x + f)", "(f + x).add_(g)"};
  for (const auto& sum : sums) {
    CAPTURE(sum);
    Case model(
        "def forward(self, x):\n    n = torch.relu(x)\n    f = self.conv(n, self.w0)\n    g = self.conv(n, "
        "self.w1)\n" +
        ("    return " + sum) + "\n");
    REQUIRE(model.found.blocks.size() == 2);
    const at::Tensor n = at::relu(model.input);
    CHECK(close(model.without({false, true}), model.input + model.conv(n, 1)));
    CHECK(close(model.without({true, false}), model.input + model.conv(n, 0)));
    CHECK(close(model.without({false, false}), model.input));
    CHECK(model.stored("w0") == Condition::allOf({0}));
    CHECK(model.stored("w1") == Condition::allOf({1}));
  }
}

TEST_CASE("what a tuple holds beside the kept operand goes all the same") {
  Case model(R"JIT(
def forward(self, x):
    pair = (self.conv(x, self.w0), torch.relu(x))
    a, b = pair
    return b + self.conv(a * b, self.w1)
)JIT");
  REQUIRE(model.found.blocks.size() == 1);
  CHECK(model.stored("w0") == Condition::allOf({0}));
  CHECK(close(model.without({false}), at::relu(model.input)));
}

TEST_CASE("what several blocks share goes with the last of them") {
  Case model(R"JIT(
def forward(self, x):
    bias = torch.relu(self.table)
    x = x + self.conv(x + bias, self.w0)
    x = x + self.conv(x * bias, self.w1)
    return self.conv(x, self.w2)
)JIT");
  REQUIRE(model.found.blocks.size() == 2);
  CHECK(model.stored("w0") == Condition::allOf({0}));
  CHECK(model.stored("w1") == Condition::allOf({1}));
  const Condition& table = model.stored("table");
  CHECK(table.holds({true, false}));
  CHECK(table.holds({false, true}));
  CHECK_FALSE(table.holds({false, false}));
  const at::Tensor bias = at::relu(model.module.attr("table").toTensor());
  CHECK(close(model.without({false, true}), model.conv(model.input + model.conv(model.input * bias, 1), 2)));
  CHECK(close(model.without({false, false}), model.conv(model.input, 2)));
}

TEST_CASE("blocks in a row, each left out or not") {
  Case model(R"JIT(
def forward(self, x):
    x = torch.relu_(self.conv(x, self.w0))
    x = torch.relu_(self.conv(x, self.w1).add_(x))
    x = torch.relu_(self.conv(x, self.w2).add_(x))
    x = torch.relu_(self.conv(x, self.w3).add_(x))
    return self.conv(x, self.w4)
)JIT");
  REQUIRE(model.found.blocks.size() == 3);
  for (int bits = 0; bits < 8; ++bits) {
    std::vector<bool> kept;
    at::Tensor x = at::relu(model.conv(model.input, 0));
    for (int b = 0; b < 3; ++b) {
      kept.push_back((bits >> b) & 1);
      if (kept.back()) x = at::relu(x + model.conv(x, b + 1));
    }
    CAPTURE(bits);
    CHECK(close(model.without(kept), model.conv(x, 4)));
  }
}

TEST_CASE("a sum of another layout than the operand is laid out as it was") {
  Case model(R"JIT(
def forward(self, x):
    t = x.permute([0, 1, 3, 2])
    f = self.conv(t.contiguous(), self.w0)
    f += t
    return f.view([-1])
)JIT");
  REQUIRE(model.found.blocks.size() == 1);
  CHECK(model.found.blocks[0].substitute == Substitute::kContiguousCopy);
  CHECK(close(model.without({false}), model.input.permute({0, 1, 3, 2}).reshape({-1})));
}

TEST_CASE("training's branches neither make nor break a block") {
  Case model(R"JIT(
def forward(self, x):
    f = self.conv(x, self.w0)
    if self.training:
        assert f.size(1) == 4
        f = f * torch.bernoulli(torch.full([f.size(0), 1, 1, 1], 0.5))
    f = torch.dropout(f, 0.5, self.training)
    return x + f
)JIT");
  REQUIRE(model.found.blocks.size() == 1);
  CHECK(close(model.without({false}), model.input));
}

TEST_CASE("what only training reads goes with the block that its result is for") {
  Case model(R"JIT(
def forward(self, x):
    if self.training:
        f = self.conv(x, self.w0)
    else:
        f = x
    y = x + self.conv(f, self.w1)
    g = y.clone()
    if self.training:
        g.mul_(self.conv(y, self.w2))
    z = y + self.conv(g, self.w3)
    if self.training:
        z = z + self.conv(z, self.w4)
    return z
)JIT");
  REQUIRE(model.found.blocks.size() == 2);
  // Written into what only the second block reads.
  const std::vector<std::pair<std::string, int32_t>> owners = {{"w0", 0}, {"w1", 0}, {"w2", 1}, {"w3", 1}};
  for (const auto& [name, block] : owners) {
    CAPTURE(name);
    CHECK(model.stored(name) == Condition::allOf({block}));
  }
  CHECK(model.stored("w4").isAlways());
}

TEST_CASE("a flag's other branch, which never runs, may use the same weights and the branch's value") {
  Case model(R"JIT(
def forward(self, x):
    f = self.conv(x, self.w0)
    if self.residual:
        f += x
        y = f
    else:
        y = f
    return y
)JIT");
  REQUIRE(model.found.blocks.size() == 1);
  CHECK(close(model.without({false}), model.input));
}

TEST_CASE("activations are cached and resumed without a block as with it") {
  Case model(R"JIT(
def forward(self, x):
    x = torch.relu_(self.conv(x, self.w0))
    x = torch.relu_(self.conv(x, self.w1).add_(x))
    return torch.relu_(self.conv(x, self.w2).add_(x))
)JIT");
  REQUIRE(model.found.blocks.size() == 2);
  const auto shortened =
      std::make_shared<const Program>(withoutBlocks(*model.program, model.found, {false, false}));
  const auto plan = std::make_shared<const ExecutionPlan>(shortened);
  Executor executor(plan);
  const Bindings bindings = bindModule(*model.program, model.module);
  const at::Tensor expected = at::relu(model.conv(model.input, 0));
  for (int32_t at = 0; at < plan->instructionCount(); ++at) {
    std::vector<Activations> caches(1);
    caches[0].instruction = at;
    RunOptions capture;
    capture.captures = &caches;
    CHECK(close(executor.run(bindings, {model.input.clone()}, CancelToken(), capture).toTensor(), expected));
    RunOptions resume;
    resume.resumeFrom = &caches[0];
    for (int i = 0; i < 2; ++i) {
      CHECK(close(executor.run(bindings, {}, CancelToken(), resume).toTensor(), expected));
    }
  }
}

}  // namespace torchsearch::testing

#include "core/forward/executor.h"

#include <algorithm>

#include "core/base/error.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

// In-place operators, a view that is written, a parameter used twice, a buffer.
Recorded residual() {
  torch::jit::Module module("m");
  module.register_parameter("first", at::randn({6, 3, 3, 3}), false);
  module.register_parameter("second", at::randn({6, 6, 3, 3}), false);
  module.register_buffer("shift", at::randn({6, 1, 1}));
  module.define(R"JIT(
def forward(self, x):
    y = torch.conv2d(x, self.first, None, [1, 1], [1, 1])
    z = torch.conv2d(torch.relu_(y), self.second, None, [1, 1], [1, 1])
    z += y
    part = torch.flatten(z, 1)
    part.mul_(0.5)
    w = torch.conv2d(z + self.shift, self.second, None, [1, 1], [1, 1])
    return torch.relu_(w) + z
)JIT");
  return {module, positional({at::randn({2, 3, 8, 8})})};
}

}  // namespace

TEST_CASE("a program replays what the module's forward gives, bit by bit") {
  Recorded recorded = residual();
  const at::NoGradGuard noGrad;
  const at::Tensor expected = recorded.module.forward({recorded.tensors[0]}).toTensor();
  Executor executor(std::make_shared<const ExecutionPlan>(recorded.program));
  const Bindings bindings = bindModule(*recorded.program, recorded.module);
  for (int run = 0; run < 2; ++run) {
    CHECK(at::equal(executor.run(bindings, recorded.tensors, CancelToken()).toTensor(), expected));
  }
}

TEST_CASE("a run resumes from the activations at any instruction, again and again") {
  const Recorded recorded = residual();
  const at::NoGradGuard noGrad;
  const auto plan = std::make_shared<const ExecutionPlan>(recorded.program);
  Executor executor(plan);
  const Bindings bindings = bindModule(*recorded.program, recorded.module);
  const at::Tensor expected = recorded.output.toTensor();
  for (int32_t boundary = 0; boundary < plan->instructionCount(); ++boundary) {
    CAPTURE(boundary);
    std::vector<Activations> captured(1);
    captured[0].instruction = boundary;
    RunOptions capture;
    capture.captures = &captured;
    executor.run(bindings, recorded.tensors, CancelToken(), capture);
    const Activations& activations = captured[0];
    CHECK_EQ(activations.tensors.size(), plan->liveSlotsAt(boundary).size());
    RunOptions resume;
    resume.resumeFrom = &activations;
    for (int run = 0; run < 2; ++run) {
      CHECK(at::equal(executor.run(bindings, {}, CancelToken(), resume).toTensor(), expected));
    }
  }
}

TEST_CASE("a tensor is dropped after its last use") {
  const Recorded recorded = residual();
  const at::NoGradGuard noGrad;
  class Watcher : public ExecutionObserver {
   public:
    explicit Watcher(const ExecutionPlan& plan) : plan_(plan) {}
    void beforeInstruction(int32_t instruction, const std::vector<at::Tensor>& values) override {
      for (size_t slot = 0; slot < values.size(); ++slot) {
        if (plan_.program().slots[slot].kind != Slot::Kind::kResult || !values[slot].defined()) continue;
        const auto live = plan_.liveSlotsAt(instruction);
        extra += std::find(live.begin(), live.end(), static_cast<SlotId>(slot)) == live.end() ? 1 : 0;
      }
    }
    void afterInstruction(int32_t, const std::vector<at::Tensor>&) override { ++instructions; }
    int extra = 0;
    int instructions = 0;

   private:
    const ExecutionPlan& plan_;
  };
  const auto plan = std::make_shared<const ExecutionPlan>(recorded.program);
  Watcher watcher(*plan);
  RunOptions options;
  options.observer = &watcher;
  Executor(plan).run(bindModule(*recorded.program, recorded.module), recorded.tensors, CancelToken(),
                     options);
  CHECK_EQ(watcher.extra, 0);
  CHECK_EQ(watcher.instructions, plan->instructionCount());
}

TEST_CASE("narrowed parameters and an overridden size run a subnet") {
  torch::jit::Module module("m");
  module.register_parameter("weight", at::randn({8, 4}), false);
  module.define("def forward(self, x):\n  return torch.linear(x, self.weight).reshape([2, 3, 2, 4])\n");
  const Recorded recorded(module, positional({at::randn({2, 3, 4})}));
  const auto& program = *recorded.program;
  Bindings bindings = bindModule(program, recorded.module);
  for (size_t slot = 0; slot < program.slots.size(); ++slot) {
    if (program.slots[slot].kind == Slot::Kind::kParameter)
      bindings.values[slot] = bindings.values[slot].narrow(0, 0, 6);
  }
  REQUIRE_EQ(program.instructions.size(), 2u);
  bindings.overrides.push_back({1, 1, std::vector<int64_t>{2, 3, 2, 3}});
  const at::NoGradGuard noGrad;
  const at::Tensor output = Executor(std::make_shared<const ExecutionPlan>(recorded.program))
                                .run(bindings, recorded.tensors, CancelToken())
                                .toTensor();
  const at::Tensor expected =
      at::linear(recorded.tensors[0], module.attr("weight").toTensor().narrow(0, 0, 6));
  CHECK(at::equal(output, expected.reshape({2, 3, 2, 3})));
}

TEST_CASE("nested outputs are rebuilt") {
  torch::jit::Module module("m");
  module.define(R"JIT(
def forward(self, x):
    parts = torch.chunk(x, 2)
    return {"sum": (parts[0] + parts[1], 3), "parts": (parts[1], 4)}
)JIT");
  const Recorded recorded(module, positional({at::arange(4, at::kFloat)}));
  const auto output =
      Executor(std::make_shared<const ExecutionPlan>(recorded.program))
          .run(bindModule(*recorded.program, module), {at::arange(4, 8, at::kFloat)}, CancelToken())
          .toGenericDict();
  const auto sum = output.at("sum").toTuple()->elements();
  CHECK(at::equal(sum[0].toTensor(), at::tensor({10.0F, 12.0F})));
  CHECK_EQ(sum[1].toInt(), 3);
  CHECK(at::equal(output.at("parts").toTuple()->elements()[0].toTensor(), at::tensor({6.0F, 7.0F})));
}

TEST_CASE("a run stops when cancelled, names a failing operator and counts its inputs") {
  const Recorded recorded = residual();
  const Bindings bindings = bindModule(*recorded.program, recorded.module);
  Executor executor(std::make_shared<const ExecutionPlan>(recorded.program));
  const auto codeOf = [&](const std::vector<at::Tensor>& inputs, const CancelToken& cancel) -> std::string {
    try {
      executor.run(bindings, inputs, cancel);
    } catch (const Error& error) {
      return error.code() + " " + error.what();
    }
    return "";
  };
  CancelToken cancelled;
  cancelled.cancel();
  CHECK_EQ(codeOf(recorded.tensors, cancelled).rfind("ERR_ABORTED", 0), 0u);
  CHECK_EQ(codeOf({}, CancelToken()).rfind("ERR_INPUT_COUNT", 0), 0u);
  const std::string failure = codeOf({at::randn({2, 5, 8, 8})}, CancelToken());
  CHECK_EQ(failure.rfind("ERR_FORWARD", 0), 0u);
  CHECK_NE(failure.find("aten::conv2d"), std::string::npos);
}

}  // namespace torchsearch::testing

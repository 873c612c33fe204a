#include "core/forward/forward_graph.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "core/base/error.h"
#include "core/evaluation/evaluate.h"
#include "core/forward/evaluator.h"
#include "core/model/module.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"
#include "tests/support/simulated_device.h"
#include "tests/support/simulated_operators.h"

using namespace torchsearch;
using testing::positional;
using testing::simulatedDevice;

namespace {

const char* const kNormedBlock =
    "  y = torch.conv2d(x, self.weight, None, 1, 1)\n"
    "  y = torch.batch_norm(y, None, None, self.mean, self.variance, False, 0.1, 1e-5, False)\n"
    "  return torch.relu(y).add_(x).mean([2, 3])\n";

torch::jit::Module moduleOnDevice(const std::string& body, c10::Device device = c10::kCPU) {
  const at::Generator generator = at::detail::createCPUGenerator(7);
  torch::jit::Module module("m");
  module.register_parameter("weight", (at::randn({8, 8, 3, 3}, generator) * 0.1).to(device), false);
  module.register_buffer("mean", at::randn({8}, generator).to(device));
  module.register_buffer("variance", (at::rand({8}, generator) + 0.5).to(device));
  module.register_attribute("training", c10::BoolType::get(), false);
  module.define("def forward(self, x):\n" + body);
  module.eval();
  return module;
}

Inputs batchOnDevice(int64_t batch, uint64_t seed, c10::Device device = c10::kCPU) {
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  return positional({at::randn({batch, 8, 6, 6}, generator).to(device)});
}

// Graphs are on while it lives.
class Graphs {
 public:
  Graphs() { setForwardGraphs(true); }
  ~Graphs() {
    setForwardGraphs(false);
    testing::refuseCapture(false);
  }
};

// The same module on the CPU and on the device.
struct Pair {
  explicit Pair(const std::string& body)
      : here(moduleOnDevice(body)), there(moduleOnDevice(body, simulatedDevice())) {}
  bool agree(int64_t batch, uint64_t seed) {
    const auto expected = here.forward(batchOnDevice(batch, seed), CancelToken()).toTensor();
    const auto actual = there.evaluate(batchOnDevice(batch, seed), CancelToken()).toTensor();
    CHECK(actual.device() == simulatedDevice());
    return at::allclose(actual.cpu(), expected, 1e-4, 1e-5);
  }

  Module here;
  Module there;
};

}  // namespace

TEST_CASE("the simulated device computes what the CPU does") {
  Pair pair(kNormedBlock);
  for (uint64_t seed = 0; seed < 4; ++seed) CHECK(pair.agree(3, seed));
}

TEST_CASE("a shape is captured at its third call in a row, and replays give what launches give") {
  if (!ForwardGraph::offered(simulatedDevice())) return;  // an older PyTorch
  const Graphs on;
  Pair pair(kNormedBlock);
  const int before = testing::replays();
  for (uint64_t seed = 0; seed < 2; ++seed) CHECK(pair.agree(4, seed));
  CHECK(testing::replays() == before);
  CHECK(pair.agree(4, 2));  // captured, and tried
  CHECK(testing::replays() == before + 1);
  for (uint64_t seed = 3; seed < 8; ++seed) CHECK(pair.agree(4, seed));
  CHECK(testing::replays() == before + 6);
  // An odd last batch, and back.
  CHECK(pair.agree(3, 8));
  CHECK(testing::replays() == before + 6);
  CHECK(pair.agree(4, 9));
  CHECK(testing::replays() == before + 7);
}

TEST_CASE("outputs of replays are the caller's own") {
  if (!ForwardGraph::offered(simulatedDevice())) return;
  const Graphs on;
  Pair pair(kNormedBlock);
  for (uint64_t seed = 0; seed < 3; ++seed) CHECK(pair.agree(4, seed));
  const at::Tensor first = pair.there.evaluate(batchOnDevice(4, 11), CancelToken()).toTensor();
  pair.there.evaluate(batchOnDevice(4, 12), CancelToken());
  const auto expected = pair.here.forward(batchOnDevice(4, 11), CancelToken()).toTensor();
  CHECK(at::allclose(first.cpu(), expected, 1e-4, 1e-5));
}

TEST_CASE("weights that change are captured anew; graphs can be turned off") {
  if (!ForwardGraph::offered(simulatedDevice())) return;
  const Graphs on;
  Pair pair(kNormedBlock);
  for (uint64_t seed = 0; seed < 5; ++seed) CHECK(pair.agree(4, seed));
  const at::NoGradGuard noGrad;
  for (Module* module : {&pair.here, &pair.there}) {
    module->namedParameters().front().tensor.mul_(-2);
    module->namedBuffers().front().tensor.add_(1);
  }
  int before = testing::replays();
  for (uint64_t seed = 5; seed < 10; ++seed) CHECK(pair.agree(4, seed));
  CHECK(testing::replays() > before);
  setForwardGraphs(false);
  before = testing::replays();
  for (uint64_t seed = 10; seed < 15; ++seed) CHECK(pair.agree(4, seed));
  CHECK(testing::replays() == before);
}

TEST_CASE("what can't be captured is launched, and not tried again") {
  if (!ForwardGraph::offered(simulatedDevice())) return;
  const Graphs on;
  const int before = testing::replays();
  {
    testing::refuseCapture(true);
    Pair pair(kNormedBlock);
    for (uint64_t seed = 0; seed < 4; ++seed) CHECK(pair.agree(4, seed));
    testing::refuseCapture(false);
    for (uint64_t seed = 4; seed < 8; ++seed) CHECK(pair.agree(4, seed));
  }
  // It writes its input; the CPU must know a value; or memory that is no longer there would be copied from.
  for (const char* body : {"  return x.mul_(2).sum(1)\n", "  return x * float(x.sum())\n",
                           "  return x.sum([2, 3]) + torch.ones([8]).to(x.device)\n"}) {
    Pair pair(body);
    for (uint64_t seed = 0; seed < 6; ++seed) CHECK(pair.agree(4, seed));
  }
  CHECK(testing::replays() == before);
  CHECK_FALSE(testing::captures());
}

TEST_CASE("a call that is aborted while it is captured leaves the model as it was") {
  if (!ForwardGraph::offered(simulatedDevice())) return;
  const Graphs on;
  const at::Tensor input = batchOnDevice(2, 0, simulatedDevice()).args[0].toTensor();
  int calls = 0;
  const auto aborts = [&](const std::vector<at::Tensor>& inputs) -> c10::IValue {
    if (++calls == 2) throw Error("ERR_ABORTED", "stopped");
    return inputs[0] + 1;
  };
  CHECK_THROWS_AS(ForwardGraph(simulatedDevice(), {input}, aborts), Error);
  CHECK_FALSE(testing::captures());
  ForwardGraph graph(simulatedDevice(), {input}, [](const std::vector<at::Tensor>& inputs) -> c10::IValue {
    return c10::ivalue::Tuple::create({inputs[0] + 1, inputs[0].sum()});
  });
  const auto outputs = graph.replay({input * 2}).toTupleRef().elements();
  CHECK(at::allclose(outputs[0].toTensor().cpu(), input.cpu() * 2 + 1));
  CHECK(at::allclose(outputs[1].toTensor().cpu(), (input.cpu() * 2).sum(), 1e-4, 1e-4));
  CHECK_THROWS_AS(graph.replay({input.narrow(0, 0, 1)}), c10::Error);
}

TEST_CASE("programs that draw random numbers, or change what stays, are not captured") {
  const auto holds = [](const std::string& body) {
    return ForwardGraph::canHold(*testing::Recorded(moduleOnDevice(body), batchOnDevice(2, 0)).program);
  };
  const std::string norm = "  return torch.batch_norm(x, None, None, self.mean, self.variance, ";
  CHECK(holds(kNormedBlock));
  CHECK(holds("  return torch.dropout(x, 0.5, False).mul(2)\n"));
  CHECK(holds("  return torch.scaled_dot_product_attention(x, x, x)\n"));
  CHECK(holds(norm + "False, 0.1, 1e-5, False)\n"));
  CHECK_FALSE(holds(norm + "True, 0.1, 1e-5, False)\n"));
  CHECK_FALSE(holds("  return torch.dropout(x, 0.5, True)\n"));
  CHECK_FALSE(holds("  return x + torch.rand_like(x)\n"));
  CHECK_FALSE(holds("  return x.add_(1)\n"));
  CHECK_FALSE(holds("  return x.flatten(1).add_(1)\n"));
  CHECK_FALSE(holds("  return x + self.weight.add_(1).sum()\n"));
  CHECK_FALSE(holds("  return x * float(x.sum())\n"));
}

TEST_CASE("a whole pass over the device scores what the CPU scores, with graphs and without") {
  const at::Generator generator = at::detail::createCPUGenerator(3);
  const at::Tensor x = at::randn({90, 8, 6, 6}, generator);
  const Dataset dataset({x, at::arange(90).remainder(8)}, {.batchSize = 16, .shuffleSeed = 5});
  Pair pair(kNormedBlock);
  LoopOptions options;
  options.target = 1;
  const auto score = [&](Module& module) {
    const auto loss = Score::make(ScoreKind::kCrossEntropy, {});
    return evaluate(module, dataset, *loss, options, CancelToken(), {}).value;
  };
  const double expected = score(pair.here);
  CHECK(score(pair.there) == doctest::Approx(expected).epsilon(1e-5));
  const Graphs on;
  const int before = testing::replays();
  const double first = score(pair.there);
  CHECK(first == doctest::Approx(expected).epsilon(1e-5));
  CHECK(score(pair.there) == first);
  if (ForwardGraph::offered(simulatedDevice())) CHECK(testing::replays() > before + 4);
}

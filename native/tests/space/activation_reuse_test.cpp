// Forwards that go on from an earlier candidate's activations give, bit by bit, what full forwards give.
#include <algorithm>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/evaluation/evaluate.h"
#include "core/space/search_space.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

constexpr int64_t kPlenty = int64_t{1} << 30;

// Convolutions and batch norms, in-place operators, two residual blocks, one of which has no norm.
std::shared_ptr<Module> residualNetwork() {
  torch::manual_seed(5);
  torch::jit::Module module("m");
  const auto norm = [&](const std::string& name, int64_t channels) {
    module.register_parameter(name + "_scale", at::rand({channels}) + 0.5, false);
    module.register_parameter(name + "_shift", at::randn({channels}), false);
    module.register_buffer(name + "_mean", at::randn({channels}));
    module.register_buffer(name + "_var", at::rand({channels}) + 0.5);
  };
  module.register_parameter("w0", at::randn({8, 3, 3, 3}), false);
  module.register_parameter("w1", at::randn({12, 8, 3, 3}), false);
  module.register_parameter("w2", at::randn({8, 12, 3, 3}), false);
  module.register_parameter("w3", at::randn({6, 8, 3, 3}), false);
  module.register_parameter("w4", at::randn({8, 6, 3, 3}), false);
  module.register_parameter("head", at::randn({5, 8}), false);
  norm("n0", 8);
  norm("n1", 12);
  norm("n2", 8);
  module.define(R"JIT(
def norm0(self, x):
    return torch.batch_norm(x, self.n0_scale, self.n0_shift, self.n0_mean, self.n0_var, False, 0.1, 1e-5, True)

def norm1(self, x):
    return torch.batch_norm(x, self.n1_scale, self.n1_shift, self.n1_mean, self.n1_var, False, 0.1, 1e-5, True)

def norm2(self, x):
    return torch.batch_norm(x, self.n2_scale, self.n2_shift, self.n2_mean, self.n2_var, False, 0.1, 1e-5, True)

def forward(self, x):
    x = torch.relu_(self.norm0(torch.conv2d(x, self.w0, None, [1, 1], [1, 1])))
    y = torch.relu_(self.norm1(torch.conv2d(x, self.w1, None, [1, 1], [1, 1])))
    y = self.norm2(torch.conv2d(y, self.w2, None, [1, 1], [1, 1]))
    x = torch.relu_(y.add_(x))
    z = torch.relu(torch.conv2d(x, self.w3, None, [1, 1], [1, 1]))
    x = torch.conv2d(z, self.w4, None, [1, 1], [1, 1]) + x
    return torch.linear(torch.mean(torch.relu_(x), [2, 3]), self.head)
)JIT");
  return std::make_shared<Module>(std::move(module));
}

std::shared_ptr<SearchSpace> spaceOf(const std::shared_ptr<Module>& module) {
  SpaceOptions options;
  options.channelDivisor = 2;
  return SearchSpace::convert(module, positional({at::randn({4, 3, 8, 8})}), options, CancelToken(), {});
}

using Widths = std::vector<int64_t>;

Widths full(const SearchSpace& space) {
  Widths widths;
  for (const auto& hyperparameter : space.hyperparameters()) widths.push_back(hyperparameter.full);
  return widths;
}

// What a candidate gives on two passes of uneven batches: its outputs, recalibrated or not.
std::vector<at::Tensor> outputs(SearchSpace& space, const Widths& widths, bool recalibrated,
                                const Dataset& calibration, const Dataset& evaluation) {
  space.select(widths);
  LoopOptions loop;
  if (recalibrated) {
    space.recalibrate(true);
    forwardAll(space, calibration, loop, CancelToken(), {});
    space.recalibrate(false);
  }
  std::vector<at::Tensor> result;
  const Pass pass(space);
  for (int64_t b = 0; b < evaluation.batches(); ++b) {
    result.push_back(space.forward(positional({evaluation.batch(b)[0]}), CancelToken()).toTensor().clone());
  }
  return result;
}

void checkEqual(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(at::equal(a[i], b[i]));
}

Dataset dataset(int64_t samples, int64_t batchSize) {
  DatasetOptions options;
  options.batchSize = batchSize;
  return Dataset({at::randn({samples, 3, 8, 8})}, options);
}

}  // namespace

TEST_CASE("kept activations change no output, whatever is selected, expected and allowed") {
  const auto plain = spaceOf(residualNetwork());
  const auto reusing = spaceOf(residualNetwork());
  REQUIRE(plain->hyperparameters().size() >= 5);
  const Dataset calibration = dataset(10, 4);
  const Dataset evaluation = dataset(9, 4);
  std::mt19937 random(11);
  int64_t hits = 0;
  for (const int64_t budget : {kPlenty, int64_t{40000}, int64_t{5000}}) {
    reusing->reuseActivations(0);
    reusing->reuseActivations(budget);
    for (int round = 0; round < 6; ++round) {
      // Candidates that differ here and there from one another.
      std::vector<Widths> candidates(1, full(*plain));
      for (int c = 0; c < 9; ++c) {
        Widths widths = candidates[random() % candidates.size()];
        for (int changes = 0; changes < 2; ++changes) {
          const size_t at = random() % widths.size();
          const auto& choices = plain->hyperparameters()[at].choices;
          widths[at] = choices[random() % choices.size()];
        }
        candidates.push_back(widths);
      }
      if (round != 3) reusing->expect(candidates);
      for (const Widths& widths : candidates) {
        const bool recalibrated = random() % 3 != 0;
        checkEqual(outputs(*reusing, widths, recalibrated, calibration, evaluation),
                   outputs(*plain, widths, recalibrated, calibration, evaluation));
        CHECK(reusing->reuse().bytes <= budget);
      }
    }
    CHECK(reusing->reuse().hits >= hits);
    hits = reusing->reuse().hits;
  }
  CHECK(hits > 100);
}

TEST_CASE("a sweep goes on from where each hyperparameter begins") {
  const auto space = spaceOf(residualNetwork());
  const Dataset calibration = dataset(8, 4);
  const Dataset evaluation = dataset(8, 4);
  const Widths whole = full(*space);
  std::vector<size_t> order(whole.size());
  for (size_t h = 0; h < order.size(); ++h) order[h] = h;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return space->hyperparameters()[a].begins < space->hyperparameters()[b].begins;
  });
  std::vector<Widths> candidates;
  for (const size_t h : order) {
    const auto& choices = space->hyperparameters()[h].choices;
    for (size_t c = choices.size() - 1; c-- > 0;) {
      candidates.push_back(whole);
      candidates.back()[h] = choices[c];
    }
  }
  space->reuseActivations(kPlenty);
  space->expect(candidates);
  for (const Widths& widths : candidates) outputs(*space, widths, true, calibration, evaluation);
  const auto counters = space->reuse();
  CHECK(counters.forwards == static_cast<int64_t>(4 * candidates.size()));
  CHECK(counters.multiplyAddsSkipped > 0.2 * counters.multiplyAddsRun);
  // One place at a time, of two batches in two modes.
  CHECK(counters.peak < 200000);
  space->reuseActivations(0);
  CHECK(space->reuse().bytes == 0);
}

TEST_CASE("changed weights, inputs and orders of channels make kept activations useless") {
  const auto module = residualNetwork();
  const auto space = spaceOf(module);
  Dataset evaluation = dataset(4, 4);
  Widths narrow = full(*space);
  size_t last = 0;
  for (size_t h = 0; h < narrow.size(); ++h) {
    if (space->hyperparameters()[h].begins > space->hyperparameters()[last].begins) last = h;
  }
  narrow[last] = space->hyperparameters()[last].choices.front();
  const auto run = [&](const Widths& widths, const Dataset& data) {
    return outputs(*space, widths, false, data, data)[0];
  };
  space->reuseActivations(kPlenty);
  space->expect({full(*space), narrow, narrow, narrow, narrow});
  run(full(*space), evaluation);
  const at::Tensor first = run(narrow, evaluation);
  CHECK(space->reuse().hits == 1);
  // Other samples.
  run(narrow, dataset(4, 4));
  CHECK(space->reuse().hits == 1);
  // The same ones, changed behind everyone's back, and back again.
  at::Tensor samples = evaluation.batch(0)[0];
  samples.mul_(2);
  CHECK(!at::equal(run(narrow, evaluation), first));
  samples.div_(2);
  CHECK(at::equal(run(narrow, evaluation), first));
  // A weight, likewise.
  for (const auto& item : module->namedParameters()) {
    if (item.name == "w0") item.tensor.mul_(2);
  }
  space->expect({narrow, narrow});
  const auto hits = space->reuse().hits;
  CHECK(!at::equal(run(narrow, evaluation), first));
  CHECK(space->reuse().hits == hits);
}

// Of a plain interpretation of the module, with batch norms in training mode; momentum 1 leaves the batch's
// own.
TEST_CASE("prepared convolutions give the statistics that the model's own operators give") {
  const auto module = residualNetwork();
  const auto space = spaceOf(module);
  const at::Tensor x = at::randn({4, 3, 8, 8});
  const auto named = [&](const std::string& name) {
    for (const auto& item : module->namedBuffers()) {
      if (item.name == name) return item.tensor;
    }
    for (const auto& item : module->namedParameters()) {
      if (item.name == name) return item.tensor;
    }
    throw std::runtime_error(name);
  };
  std::vector<at::Tensor> expected;
  const auto norm = [&](const at::Tensor& y, const std::string& name) {
    at::Tensor mean = at::zeros({y.size(1)});
    at::Tensor variance = at::zeros({y.size(1)});
    at::Tensor out = at::batch_norm(y, named(name + "_scale"), named(name + "_shift"), mean, variance, true,
                                    1.0, 1e-5, true);
    expected.push_back(mean);
    expected.push_back(variance);
    return out;
  };
  const auto convolve = [&](const at::Tensor& y, const std::string& name) {
    return at::conv2d(y, named(name), {}, 1, 1);
  };
  const at::Tensor first = at::relu(norm(convolve(x, "w0"), "n0"));
  norm(convolve(at::relu(norm(convolve(first, "w1"), "n1")), "w2"), "n2");

  space->recalibrate(true);
  space->run(positional({x}), CancelToken());
  space->recalibrate(false);
  const auto subnet = space->exportSubnet();
  size_t at = 0;
  for (const char* name : {"n0_mean", "n0_var", "n1_mean", "n1_var", "n2_mean", "n2_var"}) {
    for (const auto& item : subnet->namedBuffers()) {
      if (item.name == name) CHECK(at::allclose(item.tensor, expected.at(at++), 1e-4, 1e-5));
    }
  }
  CHECK(at == expected.size());
}

TEST_CASE("recalibration ends with the last batch norm, and runs nothing where there is none") {
  const auto space = spaceOf(residualNetwork());
  space->reuseActivations(1);
  space->recalibrate(true);
  const Dataset calibration = dataset(4, 4);
  forwardAll(*space, calibration, LoopOptions(), CancelToken(), {});
  const auto counters = space->reuse();
  // conv, norm, relu; conv, norm, relu; conv, norm
  CHECK(counters.instructionsRun == 8);
}

}  // namespace torchsearch::testing

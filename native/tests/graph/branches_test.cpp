#include <algorithm>
#include <string>

#include "core/graph/dependency.h"
#include "tests/support/doctest.h"
#include "tests/support/recorded.h"

namespace torchsearch::testing {

namespace {

// A module of two layers of 4 features after one of 6; the body says what forward does with them.
torch::jit::Module layers(const std::string& body) {
  torch::jit::Module module("m");
  module.register_attribute("training", c10::BoolType::get(), false);
  module.register_attribute("flag", c10::BoolType::get(), false);
  module.register_parameter("a", at::randn({6, 3}), false);
  module.register_parameter("b", at::randn({4, 6}), false);
  module.register_parameter("c", at::randn({4, 6}), false);
  module.register_parameter("leave", at::randn({2, 4}), false);
  module.define("def forward(self, x):\n" + body);
  return module;
}

bool isNarrowed(const Dependencies& dependencies, const std::string& name) {
  const auto& slots = dependencies.program().slots;
  const auto found =
      std::find_if(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.name == name; });
  const auto& labels = dependencies.labels(static_cast<SlotId>(found - slots.begin()), 0);
  return dependencies.placeOf(labels.at(0)).group != kNoGroup;
}

std::shared_ptr<const Program> withBranches(torch::jit::Module module, const at::Tensor& x) {
  module.eval();
  RecordOptions options;
  options.speculate = true;
  const auto graph = InlinedGraph::copyOf(module, InlinedGraph::FusedAttention::kKeep);
  return record(graph, positional({x}), options, CancelToken()).program;
}

}  // namespace

TEST_CASE("a parameter that no executed operator reads stays whole, and what it is given may be narrowed") {
  const Dependencies dependencies(withBranches(layers("    y = x @ self.a.t()\n"
                                                      "    z = y @ self.b.t()\n"
                                                      "    if self.training:\n"
                                                      "        z = z + (y @ self.c.t()).sum()\n"
                                                      "    return z @ self.leave.t()\n"),
                                               at::randn({2, 3})));
  CHECK(isNarrowed(dependencies, "a"));
  CHECK(isNarrowed(dependencies, "b"));
  CHECK_FALSE(isNarrowed(dependencies, "c"));
}

TEST_CASE("the sides of a branch hand on equal widths") {
  const Dependencies dependencies(withBranches(layers("    y = x @ self.a.t()\n"
                                                      "    if x.size(0) > 1:\n"
                                                      "        z = y @ self.b.t()\n"
                                                      "    else:\n"
                                                      "        z = y @ self.c.t()\n"
                                                      "    return z @ self.leave.t()\n"),
                                               at::randn({2, 3})));
  CHECK(dependencies.givenUp().empty());
  CHECK(isNarrowed(dependencies, "b"));
  CHECK(isNarrowed(dependencies, "c"));
}

TEST_CASE("a branch that hands on another width than the executed one is given up, unless sizes choose it") {
  for (const bool bySize : {false, true}) {
    const Dependencies dependencies(
        withBranches(layers(std::string("    y = x @ self.a.t()\n"
                                        "    z = y @ self.b.t()\n") +
                            (bySize ? "    if x.size(0) > 5:\n" : "    if self.training:\n") +
                            "        z = torch.arange(4.0).expand(x.size(0), 4)\n"
                            "    return z @ self.leave.t()\n"),
                     at::randn({2, 3})));
    CHECK(dependencies.givenUp().size() == (bySize ? 0 : 1));
    CHECK(isNarrowed(dependencies, "b") != bySize);
  }
}

TEST_CASE("a side that doesn't run reads of containers what it put there, and leaves them as they were") {
  const auto program = withBranches(layers("    y = x @ self.a.t()\n"
                                           "    parts = [y]\n"
                                           "    seen = {'y': y}\n"
                                           "    if x.size(0) > 5:\n"
                                           "        own = [y]\n"
                                           "        own.append(y + 1)\n"
                                           "        parts.append(own[1])\n"
                                           "        seen['c'] = parts[1] @ self.c.t()\n"
                                           "        z = seen['c']\n"
                                           "    else:\n"
                                           "        z = y @ self.b.t()\n"
                                           "    z = z + torch.cat(parts, 1).sum() + float(len(seen))\n"
                                           "    return z @ self.leave.t()\n"),
                                    at::randn({2, 3}));
  const Dependencies dependencies(program);
  CHECK(dependencies.givenUp().empty());
  CHECK(isNarrowed(dependencies, "b"));
  CHECK(isNarrowed(dependencies, "c"));
  for (const auto& instruction : program->instructions) {
    if (instruction.schema->name() == "aten::cat") CHECK(instruction.arguments[0].children.size() == 1);
  }
}

TEST_CASE("what a branch returns stays whole, unless no call takes it") {
  for (const bool fixed : {false, true}) {
    const Dependencies dependencies(
        withBranches(layers(std::string("    y = x @ self.a.t()\n"
                                        "    z = (y @ self.b.t()) @ self.leave.t()\n") +
                            (fixed ? "    if self.flag:\n" : "    if self.training:\n") +
                            "        return [z, y * 2]\n"
                            "    return [z]\n"),
                     at::randn({2, 3})));
    CHECK(dependencies.givenUp().empty());
    CHECK(isNarrowed(dependencies, "a") == fixed);
    CHECK(isNarrowed(dependencies, "b"));
  }
}

}  // namespace torchsearch::testing

#include "core/call/size_guards.h"

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/support/doctest.h"

namespace torchsearch::testing {

namespace {

// x has the sizes 7 and 2, y is {"k": [a tensor of 5]}, z is two of several arguments, n is 3.
std::optional<bool> holds(const std::string& guard) {
  const auto tensor = [](const std::string& name) { return c10::Argument(name, c10::TensorType::get()); };
  const c10::FunctionSchema schema("forward", "",
                                   {tensor("self"), tensor("x"), tensor("y"), tensor("z_0"), tensor("z_1"),
                                    c10::Argument("n", c10::IntType::get())},
                                   {});
  c10::Dict<std::string, c10::List<at::Tensor>> dict;
  dict.insert("k", c10::List<at::Tensor>({at::zeros({5})}));
  return holdsFor(guard, schema, {at::zeros({7, 2}), dict, at::zeros({1}), at::zeros({4}), 3});
}

}  // namespace

// What Python's eval gives, with `L` a dictionary of such inputs.
TEST_CASE("conditions of an export are Python's") {
  for (const char* guard : {
           "L['x'].size()[0] == 7",
           "L['x'].size()[0]*L['x'].size()[1] == 14",
           "L['y']['k'][0].size()[0] == 5",
           "L['z'][1].size()[0] == 4",
           "L['n'] == 3",
           "((-7) // 2) == (-4)",
           "-7 // 2 == -4",
           "((-7) % 3) == 2",
           "(7 % (-3)) == (-2)",
           "7 / 2 == 3.5",
           "2**3**2 == 512",
           "-2**2 == -4",
           "(-1)**101 == -1",
           "2**-1 == 0.5",
           "1 < L['n'] <= 3 != 4",
           "max(1, L['n'], 2) == 3 and min(4, 2.5) == 2.5",
           "math.floor(-2.5) == -3 and math.ceil(2.5) == 3 and math.trunc(-2.5) == -2",
           "FloorDiv(L['x'].size()[0], 2) == 3",
           "not 1 > 2 or 1 // 0 == 1",
           "1 == 1 or 1 // 0 == 1",
           "(5 if L['n'] > 2 else 1 // 0) == 5",
           "1e3 == 1000",
           "L['n'] < math.inf",
           "\n(L['n'] ==\n 3)\n",
           "2 - 3 - 4 == -5",
           "2 * 3 % 4 == 2",
       }) {
    CAPTURE(guard);
    CHECK(holds(guard) == std::optional(true));
  }
  for (const char* guard : {
           "L['x'].size()[0] != 7",
           "(L['x'].size()[0] % 2) == 0",
           "1 < L['n'] < 3",
           "not 1 < 2",
           "1 > 2 and 1 // 0 == 1",
           "1 // 0 == 1",
           "5 % (L['n'] - 3) == 0",
           "1 // 0 == 1 or 1 == 1",
       }) {
    CAPTURE(guard);
    CHECK(holds(guard) == std::optional(false));
  }
}

TEST_CASE("a condition that isn't known says nothing") {
  for (const std::string& guard :
       {std::string(), std::string("L['w'].size()[0] == 1"), std::string("L['x'].size()[2] == 1"),
        std::string("L['x'].stride()[0] == 2"), std::string("L['x'].size()[0] =="), std::string("f(1) == 1"),
        std::string("L['x'.size()[0] == 1"), std::string("9999999999999999999 > 1"),
        std::string("4611686018427387904 * 2 > 1"), std::string("1 == 1 1"), std::string("L[L['n']] == 1"),
        std::string(100000, '('), std::string(100000, '-') + "1", "not " + std::string(1000, '(') + "1",
        std::string("L['x"), std::string("x == 7")}) {
    CAPTURE(guard.substr(0, 40));
    CHECK(holds(guard) == std::nullopt);
  }
}

TEST_CASE("a message shows a condition without its dictionary") {
  CHECK(readableGuard("(L['y']['k'][0].size()[0] + L['x'].size()[1]) % 3 == 1") ==
        "(y['k'][0].size()[0] + x.size()[1]) % 3 == 1");
  CHECK(readableGuard("L['") == "L['");
  // In time that grows as the length does.
  std::string nested;
  for (int i = 0; i < 1'000'000; ++i) nested += "L['";
  CHECK(readableGuard(nested) == nested);
}

}  // namespace torchsearch::testing

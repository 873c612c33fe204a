#include <torch/script.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>

#include "core/base/cancel.h"
#include "core/base/error.h"
#include "core/call/arguments.h"
#include "core/exported/exported_archive.h"
#include "core/exported/json.h"
#include "core/exported/pytree.h"
#include "core/exported/scalar_types.h"
#include "core/model/exported_file.h"
#include "core/model/module_file.h"
#include "tests/support/doctest.h"

namespace torchsearch::testing {

namespace {

torch::jit::Module attention() {
  torch::manual_seed(5);
  torch::jit::Module module("m");
  module.register_parameter("weight", at::randn({12, 4}), false);
  module.define(R"(
def forward(self, x):
    q, k, v = torch.linear(x, self.weight).chunk(3, -1)
    scores = torch.softmax(torch.matmul(q, k.transpose(1, 2)) / 2.0, -1)
    return torch.matmul(scores, v).flatten(1)
)");
  return module;
}

std::string temporary() {
  static int number = 0;
  const std::string name =
      "torchsearch-" + std::to_string(::getpid()) + "-" + std::to_string(number++) + ".pt2";
  return (std::filesystem::temp_directory_path() / name).string();
}

}  // namespace

TEST_CASE("a program that was written computes what its module does, at other batches too") {
  const torch::jit::Module module = attention();
  const std::string file = temporary();
  writeExportedFile(module, ExtraFiles(), Inputs{{at::randn({3, 6, 4})}, {}}, file, CancelToken());
  const ModuleFile read = readModuleFile(file, {});
  std::remove(file.c_str());
  REQUIRE(read.example);
  for (const int64_t batch : {2, 5, 8}) {
    const at::Tensor x = at::randn({batch, 6, 4});
    torch::jit::Module mine = module;
    torch::jit::Module other = read.module;
    CHECK(at::allclose(mine.forward({x}).toTensor(), other.forward({x}).toTensor()));
  }
}

TEST_CASE("sizes that no example has are refused before a program is written") {
  const auto refuses = [](int64_t scale, int64_t offset) {
    torch::jit::Module module = attention();
    // One argument: [symbol, least, most] of each dimension, then the first one as a line of symbol 0.
    const c10::List<int64_t> sizes({-1, 2, 9, 0, 6, 6, 0, 4, 4});
    const c10::List<int64_t> lines({0, 0, scale, offset, 2, 9});
    const auto entry =
        c10::ivalue::Tuple::create({std::string("tensor"), static_cast<int64_t>(at::kFloat), sizes, lines});
    const auto contract = c10::ivalue::Tuple::create({c10::IValue(entry)});
    module.register_attribute("_exported_inputs", contract->type(), contract);
    const std::string file = temporary();
    bool refused = false;
    try {
      writeExportedFile(module, ExtraFiles(), Inputs{{at::randn({3, 6, 4})}, {}}, file, CancelToken());
    } catch (const Error& error) {
      refused = std::string(error.code()) == "ERR_EXPORTED_WRITE" || std::string(error.code()) == "ERR_INPUT";
    }
    std::remove(file.c_str());
    return refused;
  };
  CHECK(refuses(0, 0));
  CHECK(refuses(0, 3));
  CHECK(refuses(1, int64_t{1} << 62));
  CHECK(refuses(int64_t{1} << 31, 3));
  CHECK(refuses(std::numeric_limits<int64_t>::min(), 1));
}

TEST_CASE("nestings are written as Python reads them, and read again") {
  exported::Tree tree;
  tree.kind = exported::Tree::Kind::kTuple;
  tree.children.resize(2);
  tree.children[0].kind = exported::Tree::Kind::kList;
  tree.children[0].children.resize(3);
  tree.children[1].kind = exported::Tree::Kind::kDict;
  tree.children[1].keys = {"x", "mask"};
  tree.children[1].children.resize(2);
  const exported::Tree again = exported::parseTree(exported::writeTree(tree));
  CHECK(exported::countLeaves(again) == 5);
  CHECK((again.children[0].kind == exported::Tree::Kind::kList));
  CHECK(again.children[1].keys == tree.children[1].keys);
  CHECK_THROWS_AS(exported::parseTree("[1"), Error);
  CHECK_THROWS_AS(exported::parseTree("[1, {\"type\": \"my.Class\"}]"), Error);
}

TEST_CASE("dtypes have the numbers of torch/_export/serde/schema.py") {
  CHECK((exported::scalarTypeOf(7) == at::kFloat));
  CHECK((exported::scalarTypeOf(5) == at::kLong));
  CHECK((exported::scalarTypeOf(12) == at::kBool));
  CHECK((exported::scalarTypeOf(13) == at::kBFloat16));
  for (const auto type :
       {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble, at::kLong, at::kInt, at::kBool, at::kByte})
    CHECK((exported::scalarTypeOf(exported::numberOf(type)) == type));
  CHECK_THROWS_AS(exported::scalarTypeOf(99), Error);
}

TEST_CASE("a program's text is refused before it is nested too deeply, or where it is none") {
  CHECK_THROWS_AS(exported::parseJson(std::string(100000, '['), "it"), Error);
  CHECK_THROWS_AS(exported::parseJson("{\"a\": ", "it"), Error);
  const exported::Json json = exported::parseJson("{\"a\": 1, \"b\": \"Infinity\"}", "it");
  CHECK(exported::intOf(exported::field(json, "a")) == 1);
  CHECK(std::isinf(exported::floatOf(exported::field(json, "b"))));
  CHECK_THROWS_AS(exported::field(json, "c"), Error);
  CHECK_THROWS_AS(exported::textOf(exported::field(json, "a")), Error);
}

TEST_CASE("containers that have lost their types are taken as the schema declares them") {
  const auto tensor = c10::TensorType::get();
  const auto inner = c10::DictType::create(c10::StringType::get(), tensor);
  const std::vector<std::string> names{"x", "meta"};
  const std::vector<c10::TypePtr> types{tensor, inner};
  const auto record = c10::TupleType::createNamed(c10::QualifiedName("__torch__.Record"), names, types);
  const std::vector<c10::Argument> arguments{c10::Argument("self"), c10::Argument("batch", record)};
  const c10::FunctionSchema schema("forward", "", arguments, std::vector<c10::Argument>());
  c10::impl::GenericDict meta(c10::StringType::get(), c10::AnyType::get());
  meta.insert("z", at::ones({2}));
  c10::impl::GenericDict given(c10::StringType::get(), c10::AnyType::get());
  given.insert("meta", meta);
  given.insert("x", at::zeros({3}));
  const auto bound = bindArguments(schema, Inputs{{given}, {}});
  REQUIRE(bound[0].isTuple());
  CHECK(bound[0].toTupleRef().elements()[0].toTensor().size(0) == 3);
  CHECK(bound[0].toTupleRef().elements()[1].toGenericDict().at("z").toTensor().size(0) == 2);
  given.insert_or_assign("x", 3);
  CHECK_THROWS_AS(bindArguments(schema, Inputs{{given}, {}}), Error);
  CHECK(given.erase("x") == 1);
  CHECK_THROWS_AS(bindArguments(schema, Inputs{{given}, {}}), Error);
}

}  // namespace torchsearch::testing

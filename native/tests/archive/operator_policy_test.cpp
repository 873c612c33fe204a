#include "core/archive/operator_policy.h"

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <memory>
#include <string>
#include <vector>

#include "core/model/torchvision_operators.h"
#include "tests/support/doctest.h"

using namespace torchsearch;

// A new LibTorch brings new operators. They are refused until they are reviewed:
// scripts/python/operator_policy.py sorts them into one of the two lists.
TEST_CASE("every registered operator was reviewed") {
  registerTorchvisionOperators();
  std::string unknown;
  for (const auto& op : torch::jit::getAllOperators()) {
    const std::string& name = op->schema().name();
    // Tests register operators of their own.
    if (name.starts_with("torchsearch")) continue;
    if (!isAllowedOperator(name) && !isRefusedOperator(name)) unknown += name + " ";
  }
  CHECK_EQ(unknown, "");
}

TEST_CASE("no operator is in both lists, and what reaches outside is in the right one") {
  for (const auto& op : torch::jit::getAllOperators()) {
    const std::string& name = op->schema().name();
    CHECK_FALSE((isAllowedOperator(name) && isRefusedOperator(name)));
  }
  for (const char* name :
       {"aten::save", "aten::from_file", "prim::Print", "prim::rpc_sync", "aten::manual_seed", "aten::set_",
        "aten::_reshape_alias", "aten::_index_put_impl_", "aten::sparse_coo_tensor", "aten::segment_reduce",
        "aten::resize_", "aten::resize_as_", "aten::fbgemm_linear_int8_weight",
        "inductor::_reinterpret_tensor", "c10d::send", "symm_mem::nccl_put", "debugprims::load_tensor",
        "aten::max_pool2d_with_indices_backward", "nobody::knows"}) {
    CAPTURE(name);
    CHECK_FALSE(isAllowedOperator(name));
  }
  for (const char* name :
       {"aten::add", "aten::conv2d", "aten::linear", "prim::If", "prim::Loop", "prim::fork",
        "aten::scaled_dot_product_attention", "aten::lstm", "quantized::linear", "torchvision::nms",
        "aten::_set_item", "aten::values", "aten::warn"}) {
    CAPTURE(name);
    CHECK(isAllowedOperator(name));
  }
}

TEST_CASE("classes that C++ defines are allowed by name; those of a file are") {
  CHECK(isAllowedClass("__torch__.torch.nn.modules.linear.Linear"));
  CHECK(isAllowedClass("__torch__.torch.classes.quantized.LinearPackedParamsBase"));
  CHECK_FALSE(isAllowedClass("__torch__.torch.classes.dist_c10d.ProcessGroup"));
  CHECK_FALSE(isAllowedClass("os.system"));
}

TEST_CASE("classes that contain themselves are refused, through whatever they hold") {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  const auto cls = c10::ClassType::create("__torch__.Link", unit);
  const auto graph = std::make_shared<torch::jit::Graph>();
  graph->addInput()->setType(cls);
  graph->registerOutput(graph->insertConstant(1));
  unit->create_function("f", graph);
  for (const c10::TypePtr& held : std::vector<c10::TypePtr>{
           c10::OptionalType::create(cls), c10::OptionalType::create(c10::ListType::create(cls)),
           c10::DictType::create(
               c10::StringType::get(),
               c10::TupleType::create({c10::IntType::get(), c10::ListType::create(cls)}))}) {
    CAPTURE(held->str());
    cls->addAttribute("held", held);
    const std::vector<std::string> refused = refusedNames(*unit, {});
    REQUIRE_EQ(refused.size(), 1);
    CHECK(refused[0].ends_with("Link (contains itself)"));
    cls->unsafeRemoveAttribute("held");  // or the class would keep itself
  }
  cls->addAttribute("held", c10::ListType::create(c10::TensorType::get()));
  CHECK(refusedNames(*unit, {}).empty());
}

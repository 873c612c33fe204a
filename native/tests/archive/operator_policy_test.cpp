#include "core/archive/operator_policy.h"

#include <torch/csrc/jit/runtime/operator.h>

#include <string>

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

#include "core/graph/operator_kind.h"

#include <unordered_set>

namespace torchsearch {

bool isConvolution(const std::string& name) {
  return name.find("conv") != std::string::npos;  // conv2d, _convolution, conv_transpose2d
}

bool isMatrixProduct(const std::string& name) {
  static const std::unordered_set<std::string> names = {
      "aten::linear",  "aten::mm",       "aten::bmm",    "aten::matmul", "aten::linalg_matmul",
      "aten::addmm",   "aten::addmm_",   "aten::mv",     "aten::inner",  "aten::tensordot",
      "aten::baddbmm", "aten::baddbmm_", "aten::einsum", "aten::addmv",  "aten::chain_matmul"};
  return names.count(name) > 0;
}

bool isDropout(const std::string& name) {
  static const std::unordered_set<std::string> names = {"aten::dropout",
                                                        "aten::dropout_",
                                                        "aten::feature_dropout",
                                                        "aten::alpha_dropout",
                                                        "aten::alpha_dropout_",
                                                        "aten::feature_dropout_",
                                                        "aten::feature_alpha_dropout",
                                                        "aten::feature_alpha_dropout_"};
  return names.count(name) > 0;
}

bool isAttention(const std::string& name) {
  return name.find("attention") != std::string::npos || name == "aten::_transformer_encoder_layer_fwd";
}

}  // namespace torchsearch

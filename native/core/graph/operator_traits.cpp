#include "core/graph/operator_traits.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace torchsearch {

namespace {

constexpr OperatorTraits kDropout{.isDropout = true, .mayPassThrough = true, .ignoresLayout = true};
constexpr OperatorTraits kProduct{.isMatrixProduct = true};
constexpr OperatorTraits kPassing{.mayPassThrough = true};
constexpr OperatorTraits kAnyLayout{.ignoresLayout = true};
constexpr OperatorTraits kReading{.readsValues = true};

// One row an operator; the names of LibTorch's own stand without "aten::".
const std::unordered_map<std::string_view, OperatorTraits>& table() {
  static const std::unordered_map<std::string_view, OperatorTraits> rows = {
      {"alpha_dropout", kDropout},
      {"dropout", kDropout},
      {"feature_alpha_dropout", kDropout},
      {"feature_dropout", kDropout},

      {"addbmm", kProduct},
      {"addmm", kProduct},
      {"addmv", kProduct},
      {"baddbmm", kProduct},
      {"bmm", kProduct},
      {"chain_matmul", kProduct},
      {"einsum", {.isMatrixProduct = true, .mayPassThrough = true}},
      {"inner", kProduct},
      {"linalg_matmul", kProduct},
      {"linalg_multi_dot", kProduct},
      {"linear", kProduct},
      {"matmul", kProduct},
      {"mm", kProduct},
      {"mv", kProduct},
      {"tensordot", kProduct},

      {"atleast_1d", kPassing},
      {"atleast_2d", kPassing},
      {"atleast_3d", kPassing},
      {"broadcast_tensors", kPassing},
      {"meshgrid", kPassing},
      {"pixel_shuffle", kPassing},
      {"type_as", kPassing},

      {"_convolution", kAnyLayout},
      {"adaptive_avg_pool2d", kAnyLayout},
      {"adaptive_max_pool2d", kAnyLayout},
      {"add", kAnyLayout},
      {"avg_pool2d", kAnyLayout},
      {"batch_norm", kAnyLayout},
      {"cat", kAnyLayout},
      {"clamp", kAnyLayout},
      {"conv2d", kAnyLayout},
      {"convolution", kAnyLayout},
      {"div", kAnyLayout},
      {"elu", kAnyLayout},
      {"exp", kAnyLayout},
      {"gelu", kAnyLayout},
      {"group_norm", kAnyLayout},
      {"hardsigmoid", kAnyLayout},
      {"hardswish", kAnyLayout},
      {"hardtanh", kAnyLayout},
      {"leaky_relu", kAnyLayout},
      {"max_pool2d", kAnyLayout},
      {"mean", kAnyLayout},
      {"mish", kAnyLayout},
      {"mul", kAnyLayout},
      {"relu", kAnyLayout},
      {"relu6", kAnyLayout},
      {"sigmoid", kAnyLayout},
      {"silu", kAnyLayout},
      {"softplus", kAnyLayout},
      {"sub", kAnyLayout},
      {"tanh", kAnyLayout},
      {"upsample_bilinear2d", kAnyLayout},
      {"upsample_nearest2d", kAnyLayout},

      {"Bool", kReading},
      {"Complex", kReading},
      {"Float", kReading},
      {"FloatImplicit", kReading},
      {"Int", kReading},
      {"IntImplicit", kReading},
      {"ScalarImplicit", kReading},
      {"_local_scalar_dense", kReading},
      {"_pack_padded_sequence", kReading},
      {"_unique2", kReading},
      {"allclose", kReading},
      {"equal", kReading},
      {"is_nonzero", kReading},
      {"item", kReading},
      {"masked_select", kReading},
      {"nonzero", kReading},
      {"nonzero_numpy", kReading},
      {"repeat_interleave", kReading},
      {"prim::tolist", kReading},
      {"torchvision::nms", kReading},
      {"unique", kReading},
      {"unique_consecutive", kReading},
  };
  return rows;
}

}  // namespace

const OperatorTraits& traitsOf(const std::string& name) {
  static const OperatorTraits none;
  std::string_view key = name;
  if (key.starts_with("aten::")) key.remove_prefix(6);
  if (key.ends_with('_')) key.remove_suffix(1);
  const auto found = table().find(key);
  return found == table().end() ? none : found->second;
}

bool isConvolution(const std::string& name) {
  return name.find("conv") != std::string::npos;  // conv2d, _convolution, conv_transpose2d
}

bool isAttention(const std::string& name) {
  return name.find("attention") != std::string::npos || name == "aten::_transformer_encoder_layer_fwd";
}

bool isRunningStatistic(const c10::FunctionSchema& schema, const c10::Argument& argument) {
  return argument.name().starts_with("running_") && schema.name().find("_norm") != std::string::npos;
}

bool runsForEvaluation(const Instruction& instruction) {
  const auto& arguments = instruction.schema->arguments();
  for (size_t i = 0; i < std::min(arguments.size(), instruction.arguments.size()); ++i) {
    const auto& given = instruction.arguments[i];
    if (given.kind != ValueTree::Kind::kConstant) continue;
    const std::string& name = arguments[i].name();
    const bool isMode = name == "train" || name == "training" || name == "use_input_stats";
    if (isMode && given.constant.isBool() && !given.constant.toBool()) return true;
    const bool isShare = name == "p" || name == "dropout_p";
    if (isShare && given.constant.isDouble() && given.constant.toDouble() == 0) return true;
  }
  return false;
}

}  // namespace torchsearch

#include "core/graph/operator_traits.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace torchsearch {

namespace {

constexpr OperatorTraits kDropout{.isDropout = true, .mayPassThrough = true, .ignoresLayout = true};
constexpr OperatorTraits kProduct{.isMatrixProduct = true};
constexpr OperatorTraits kRecurrent{.isRecurrent = true};
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

      {"gru", kRecurrent},
      {"gru_cell", kRecurrent},
      {"lstm", kRecurrent},
      {"lstm_cell", kRecurrent},
      {"rnn_relu", kRecurrent},
      {"rnn_relu_cell", kRecurrent},
      {"rnn_tanh", kRecurrent},
      {"rnn_tanh_cell", kRecurrent},

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

Asked askedOf(const c10::FunctionSchema& schema, size_t argument) {
  // By name: the argument, and what is asked of it. The type includes the device.
  static const std::unordered_map<std::string_view, std::pair<std::string_view, Asked>> rows = {
      {"aten::empty_like", {"self", Asked::kShape}}, {"aten::expand_as", {"other", Asked::kShape}},
      {"aten::full_like", {"self", Asked::kShape}},  {"aten::new_empty", {"self", Asked::kType}},
      {"aten::new_full", {"self", Asked::kType}},    {"aten::new_ones", {"self", Asked::kType}},
      {"aten::new_zeros", {"self", Asked::kType}},   {"aten::ones_like", {"self", Asked::kShape}},
      {"aten::rand_like", {"self", Asked::kShape}},  {"aten::randint_like", {"self", Asked::kShape}},
      {"aten::randn_like", {"self", Asked::kShape}}, {"aten::reshape_as", {"other", Asked::kShape}},
      {"aten::to", {"other", Asked::kType}},         {"aten::type_as", {"other", Asked::kType}},
      {"aten::view_as", {"other", Asked::kShape}},   {"aten::zeros_like", {"self", Asked::kShape}},
  };
  const auto found = rows.find(schema.name());
  if (found == rows.end() || argument >= schema.arguments().size()) return Asked::kNumbers;
  const auto& [name, asked] = found->second;
  return schema.arguments()[argument].name() == name ? asked : Asked::kNumbers;
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

#include <string>
#include <unordered_map>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

const std::unordered_map<std::string, RuleFn>& rules() {
  static const auto table = [] {
    std::unordered_map<std::string, RuleFn> all;
    const auto add = [&](RuleFn rule, std::initializer_list<const char*> names) {
      for (const char* name : names) all.emplace(std::string("aten::") + name, rule);
    };
    add(elementwiseRule, {"relu",
                          "relu_",
                          "relu6",
                          "relu6_",
                          "hardtanh",
                          "hardtanh_",
                          "hardswish",
                          "hardswish_",
                          "hardsigmoid",
                          "hardsigmoid_",
                          "sigmoid",
                          "sigmoid_",
                          "tanh",
                          "tanh_",
                          "gelu",
                          "gelu_",
                          "silu",
                          "silu_",
                          "leaky_relu",
                          "leaky_relu_",
                          "elu",
                          "elu_",
                          "selu",
                          "selu_",
                          "mish",
                          "mish_",
                          "softplus",
                          "dropout",
                          "dropout_",
                          "feature_dropout",
                          "feature_dropout_",
                          "clone",
                          "contiguous",
                          "to",
                          "detach",
                          "alias",
                          "neg",
                          "exp",
                          "exp_",
                          "sqrt",
                          "rsqrt",
                          "abs",
                          "square",
                          "pow",
                          "clamp",
                          "clamp_",
                          "clamp_min",
                          "clamp_min_",
                          "clamp_max",
                          "add",
                          "add_",
                          "sub",
                          "sub_",
                          "rsub",
                          "mul",
                          "mul_",
                          "div",
                          "div_",
                          "maximum",
                          "minimum",
                          "where",
                          "masked_fill",
                          "masked_fill_",
                          "expand",
                          "expand_as",
                          "type_as",
                          "float",
                          "copy_",
                          "softmax",
                          "log_softmax",
                          "celu",
                          "threshold",
                          "threshold_",
                          "erf",
                          "log",
                          "reciprocal",
                          "bernoulli",
                          "bernoulli_",
                          "zeros_like",
                          "ones_like",
                          "empty_like",
                          "sin",
                          "cos"});
    add(convolutionRule, {"conv1d", "conv2d", "conv3d", "_convolution", "convolution", "conv_transpose1d",
                          "conv_transpose2d", "conv_transpose3d"});
    add(linearRule, {"linear"});
    add(matmulRule, {"matmul", "mm", "bmm"});
    add(addmmRule, {"addmm"});
    add(channelNormRule, {"batch_norm", "instance_norm"});
    add(groupNormRule, {"group_norm"});
    add(layerNormRule, {"layer_norm"});
    add(preluRule, {"prelu"});
    add(spatialRule,
        {"max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
         "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
         "adaptive_max_pool2d", "adaptive_max_pool3d", "max_pool2d_with_indices", "upsample_nearest1d",
         "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d", "upsample_bicubic2d"});
    add(reshapeRule, {"view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "squeeze_",
                      "unsqueeze", "unsqueeze_", "view_as", "reshape_as"});
    add(permuteRule, {"permute", "transpose", "transpose_", "t", "t_"});
    add(concatenateRule, {"cat", "concat", "concatenate"});
    add(splitRule, {"chunk", "split", "split_with_sizes"});
    add(sliceRule, {"slice"});
    add(selectRule, {"select"});
    add(reduceRule, {"mean", "sum", "amax", "amin"});
    add(embeddingRule, {"embedding"});
    return all;
  }();
  return table;
}

}  // namespace

void applyDependencyRule(DependencyAnalysis& analysis, const Instruction& instruction) {
  const Rule rule(analysis, instruction);
  const auto found = rules().find(instruction.schema->name());
  if (found == rules().end()) {
    keepWhole(rule);
  } else {
    found->second(rule);
  }
}

}  // namespace torchsearch

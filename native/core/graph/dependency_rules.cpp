#include <algorithm>
#include <functional>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "core/graph/dependency_analysis.h"
#include "core/profile/operand.h"

namespace torchsearch {

namespace {

// One operator at work: its tensors by their names in the schema.
class Rule {
 public:
  Rule(DependencyAnalysis& analysis, const Instruction& instruction)
      : analysis(analysis),
        instruction(instruction),
        reason("'" + instruction.schema->name() + "' needs it whole") {}

  const ValueTree& argument(const char* name) const {
    return instruction.arguments.at(*instruction.schema->argumentIndexWithName(name));
  }
  bool has(const char* name) const {
    return instruction.schema->argumentIndexWithName(name).has_value() && argument(name).isSlot();
  }
  SlotId slot(const char* name) const { return argument(name).slot; }
  int64_t integer(const char* name) const { return argument(name).constant.toInt(); }
  std::vector<Labels>& labels(SlotId id) const { return analysis.of(id); }
  const std::vector<int64_t>& sizes(SlotId id) const { return analysis.sizes(id); }
  int64_t rank(SlotId id) const { return static_cast<int64_t>(sizes(id).size()); }
  SlotId result() const { return instruction.results.at(0).slot; }
  int64_t wrap(int64_t dimension, int64_t rank) const { return dimension < 0 ? dimension + rank : dimension; }

  // A vector parameter (bias, batch-norm scale) along `along`.
  void tieVector(const char* name, const Labels& along) const {
    if (!has(name)) return;
    analysis.tie(labels(slot(name)).at(0), along, reason);
  }
  void setResult(std::vector<Labels> dimensions) const {
    dimensions.resize(sizes(result()).size());
    labels(result()) = std::move(dimensions);
  }

  DependencyAnalysis& analysis;
  const Instruction& instruction;
  std::string reason;
};

void collectSlots(const ValueTree& tree, std::vector<SlotId>& slots) {
  if (tree.isSlot()) slots.push_back(tree.slot);
  for (const auto& child : tree.children) collectSlots(child, slots);
}

std::vector<SlotId> tensorArguments(const Instruction& instruction) {
  std::vector<SlotId> slots;
  for (const auto& argument : instruction.arguments) collectSlots(argument, slots);
  return slots;
}

void keepWhole(const Rule& rule) {
  for (const SlotId slot : tensorArguments(rule.instruction)) rule.analysis.fixSlot(slot, rule.reason);
  std::vector<SlotId> results;
  for (const auto& tree : rule.instruction.results) collectSlots(tree, results);
  for (const SlotId slot : results) {
    rule.analysis.fixSlot(slot, rule.reason);
    rule.labels(slot).assign(rule.sizes(slot).size(), Labels());
  }
}

// Result and arguments broadcast against each other, aligned at the last dimension.
void elementwise(const Rule& rule) {
  const auto& out = rule.sizes(rule.result());
  const auto rank = static_cast<int64_t>(out.size());
  std::vector<Labels> result(out.size());
  const auto arguments = tensorArguments(rule.instruction);
  for (int64_t d = 0; d < rank; ++d) {
    const Labels* first = nullptr;
    bool whole = false;
    for (const SlotId slot : arguments) {
      const int64_t own = d - (rank - rule.rank(slot));
      if (own < 0 || rule.sizes(slot)[own] != out[d] || out[d] == 1) continue;
      const Labels& labels = rule.labels(slot)[own];
      if (labels.empty()) {
        whole = true;
      } else if (first == nullptr) {
        first = &labels;
      } else {
        rule.analysis.tie(*first, labels, rule.reason);
      }
    }
    if (first == nullptr) continue;
    result[d] = *first;
    if (whole)
      rule.analysis.fix(result[d],
                        "'" + rule.instruction.schema->name() + "' combines it with a whole tensor");
  }
  rule.setResult(std::move(result));
}

void convolution(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const SlotId weight = rule.slot("weight");
  const int64_t rank = rule.rank(weight);
  const bool transposed = rule.instruction.schema->name().find("transpose") != std::string::npos ||
                          (rule.instruction.schema->argumentIndexWithName("transposed").has_value() &&
                           rule.argument("transposed").constant.toBool());
  const int64_t groups = rule.integer("groups");
  if (rule.rank(input) != rank || (transposed && groups != 1)) return keepWhole(rule);
  auto& in = rule.labels(input);
  auto& kernel = rule.labels(weight);
  for (int64_t d = 2; d < rank; ++d) rule.analysis.fix(kernel[d], "it is a kernel size");
  for (int64_t d = 0; d < rank; ++d) {
    if (d != 1) rule.analysis.fix(in[d], rule.reason);
  }
  std::vector<Labels> result(rank);
  if (groups == 1) {
    rule.analysis.tie(in[1], kernel[transposed ? 0 : 1], rule.reason);
    result[1] = kernel[transposed ? 1 : 0];
  } else {
    // Groups are kept or dropped as a whole; a depthwise convolution's are single channels.
    rule.analysis.fix(kernel[1], "it is the width of a convolution's group");
    const int64_t inPer = rule.sizes(input)[1] / groups;
    const int64_t outPer = rule.sizes(weight)[0] / groups;
    for (int64_t g = 0; g < groups; ++g) {
      if (kernel[0].empty()) break;
      const Atom anchor = kernel[0][g * outPer];
      for (int64_t k = 1; k < outPer; ++k) rule.analysis.tie(anchor, kernel[0][g * outPer + k]);
      for (int64_t k = 0; k < inPer; ++k) {
        rule.analysis.tie(anchor, in[1].empty() ? kFixedAtom : in[1][g * inPer + k]);
      }
    }
    result[1] = kernel[0];
  }
  rule.tieVector("bias", result[1]);
  rule.setResult(std::move(result));
}

void linear(const Rule& rule) {
  const auto& in = rule.labels(rule.slot("input"));
  const auto& weight = rule.labels(rule.slot("weight"));
  if (weight.size() != 2) return keepWhole(rule);
  rule.analysis.tie(in.back(), weight[1], rule.reason);
  auto result = in;
  result.back() = weight[0];
  rule.tieVector("bias", weight[0]);
  rule.setResult(std::move(result));
}

// The two operands of a matrix product, whatever the schema calls them.
void matrixProduct(const Rule& rule, SlotId left, SlotId right) {
  const int64_t leftRank = rule.rank(left);
  const int64_t rightRank = rule.rank(right);
  if (leftRank < 2 || rightRank < 2) return keepWhole(rule);
  const auto& a = rule.labels(left);
  const auto& b = rule.labels(right);
  rule.analysis.tie(a[leftRank - 1], b[rightRank - 2], rule.reason);
  const int64_t rank = std::max(leftRank, rightRank);
  std::vector<Labels> result(rank);
  result[rank - 2] = a[leftRank - 2];
  result[rank - 1] = b[rightRank - 1];
  for (int64_t d = 0; d < rank - 2; ++d) {
    const int64_t inA = d - (rank - leftRank);
    const int64_t inB = d - (rank - rightRank);
    if (inA >= 0 && inB >= 0) {
      rule.analysis.tie(a[inA], b[inB], rule.reason);
      result[d] = a[inA].empty() ? b[inB] : a[inA];
    } else {
      result[d] = inA >= 0 ? a[inA] : b[inB];
    }
  }
  rule.setResult(std::move(result));
}

void matmul(const Rule& rule) {
  const auto slots = tensorArguments(rule.instruction);
  if (slots.size() != 2) return keepWhole(rule);
  matrixProduct(rule, slots[0], slots[1]);
}

void addmm(const Rule& rule) {
  matrixProduct(rule, rule.slot("mat1"), rule.slot("mat2"));
  const SlotId bias = rule.slot("self");
  const auto& result = rule.labels(rule.result());
  if (rule.rank(bias) == 1) {
    rule.analysis.tie(rule.labels(bias)[0], result.back(), rule.reason);
  } else {
    rule.analysis.fixSlot(bias, rule.reason);
    rule.analysis.fixSlot(rule.result(), rule.reason);
  }
}

void channelNorm(const Rule& rule) {
  const auto in = rule.labels(rule.slot("input"));
  if (in.size() < 2) return keepWhole(rule);
  for (const char* name : {"weight", "bias", "running_mean", "running_var"}) rule.tieVector(name, in[1]);
  rule.setResult(in);
}

void groupNorm(const Rule& rule) {
  const SlotId input = rule.slot("input");
  const auto in = rule.labels(input);
  const int64_t groups = rule.integer("num_groups");
  if (groups > 1 && !in[1].empty()) {
    const int64_t per = rule.sizes(input)[1] / groups;
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t k = 1; k < per; ++k) rule.analysis.tie(in[1][g * per], in[1][g * per + k]);
    }
  }
  rule.tieVector("weight", in[1]);
  rule.tieVector("bias", in[1]);
  rule.setResult(in);
}

void layerNorm(const Rule& rule) {
  const auto in = rule.labels(rule.slot("input"));
  for (const char* name : {"weight", "bias"}) {
    if (!rule.has(name)) continue;
    const auto& vector = rule.labels(rule.slot(name));
    for (size_t d = 0; d < vector.size(); ++d) {
      rule.analysis.tie(vector[d], in[in.size() - vector.size() + d], rule.reason);
    }
  }
  rule.setResult(in);
}

void prelu(const Rule& rule) {
  const auto in = rule.labels(rule.slot("self"));
  const SlotId weight = rule.slot("weight");
  if (rule.sizes(weight).size() == 1 && rule.sizes(weight)[0] > 1) {
    rule.analysis.tie(rule.labels(weight)[0], in[1], rule.reason);
  }
  rule.setResult(in);
}

// Batch and channels pass; the dimensions that are resampled are no channels.
void spatial(const Rule& rule) {
  const SlotId input = tensorArguments(rule.instruction).at(0);
  const auto& in = rule.labels(input);
  const int64_t rank = rule.rank(input);
  if (rank < 3) return keepWhole(rule);
  std::vector<Labels> result(rank);
  for (int64_t d = 0; d < rank; ++d) {
    if (d < 2) {
      result[d] = in[d];
    } else {
      rule.analysis.fix(in[d], rule.reason);
    }
  }
  rule.setResult(std::move(result));
}

// Labels of the dimensions that are merged into one: those of the single labelled one, repeated over the
// others.
Labels merged(const Rule& rule, SlotId input, size_t begin, size_t end) {
  const auto& labels = rule.labels(input);
  const auto& sizes = rule.sizes(input);
  size_t labelled = end;
  size_t count = 0;
  for (size_t d = begin; d < end; ++d) {
    if (labels[d].empty()) continue;
    labelled = d;
    ++count;
  }
  if (count != 1) {
    for (size_t d = begin; d < end; ++d) rule.analysis.fix(labels[d], rule.reason);
    return {};
  }
  int64_t outer = 1;
  int64_t inner = 1;
  for (size_t d = begin; d < labelled; ++d) outer *= sizes[d];
  for (size_t d = labelled + 1; d < end; ++d) inner *= sizes[d];
  Labels result;
  for (int64_t o = 0; o < outer; ++o) {
    for (const Atom atom : labels[labelled]) result.insert(result.end(), inner, atom);
  }
  return result;
}

// Matches runs of dimensions with equal products before and after.
void reshape(const Rule& rule) {
  const SlotId input = tensorArguments(rule.instruction).at(0);
  const auto& from = rule.sizes(input);
  const auto& to = rule.sizes(rule.result());
  std::vector<Labels> result(to.size());
  size_t i = 0;
  size_t j = 0;
  while (i < from.size() || j < to.size()) {
    const size_t iBegin = i;
    const size_t jBegin = j;
    int64_t before = i < from.size() ? from[i++] : 1;
    int64_t after = j < to.size() ? to[j++] : 1;
    while (before != after) {
      if (before < after) {
        if (i >= from.size()) return keepWhole(rule);
        before *= from[i++];
      } else {
        if (j >= to.size()) return keepWhole(rule);
        after *= to[j++];
      }
    }
    // Trailing dimensions of one belong to this run.
    while (i < from.size() && from[i] == 1 && (j >= to.size() || to[j] != 1)) ++i;
    while (j < to.size() && to[j] == 1 && (i >= from.size() || from[i] != 1)) ++j;
    size_t target = jBegin;
    size_t wide = 0;
    for (size_t d = jBegin; d < j; ++d) {
      if (to[d] == 1) continue;
      target = d;
      ++wide;
    }
    if (wide == 1) {
      result[target] = merged(rule, input, iBegin, i);
    } else {
      for (size_t d = iBegin; d < i; ++d) rule.analysis.fix(rule.labels(input)[d], rule.reason);
    }
  }
  rule.setResult(std::move(result));
}

void permute(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const auto in = rule.labels(input);
  const int64_t rank = rule.rank(input);
  std::vector<Labels> result(in.size());
  const std::string name = rule.instruction.schema->name();
  if (name == "aten::permute") {
    const auto dims = rule.argument("dims").constant.toIntVector();
    for (int64_t d = 0; d < rank; ++d) result[d] = in[rule.wrap(dims[d], rank)];
  } else {
    result = in;
    if (rank >= 2) {
      const bool plain = name == "aten::t" || name == "aten::t_";
      std::swap(result[rule.wrap(plain ? 0 : rule.integer("dim0"), rank)],
                result[rule.wrap(plain ? 1 : rule.integer("dim1"), rank)]);
    }
  }
  rule.setResult(std::move(result));
}

Labels padded(const Labels& labels, int64_t size) {
  return labels.empty() ? Labels(static_cast<size_t>(size), kFixedAtom) : labels;
}

void concatenate(const Rule& rule) {
  std::vector<SlotId> tensors;
  collectSlots(rule.argument("tensors"), tensors);
  const int64_t rank = rule.rank(rule.result());
  const int64_t dim = rule.wrap(rule.integer("dim"), rank);
  std::vector<Labels> result(rank);
  bool labelled = false;
  std::vector<Labels> pieces;
  for (const SlotId tensor : tensors) {
    if (rule.rank(tensor) != rank) return keepWhole(rule);
    pieces.push_back(padded(rule.labels(tensor)[dim], rule.sizes(tensor)[dim]));
    labelled = labelled || !rule.labels(tensor)[dim].empty();
    result[dim].insert(result[dim].end(), pieces.back().begin(), pieces.back().end());
    for (int64_t d = 0; d < rank; ++d) {
      if (d == dim || rule.sizes(tensor)[d] <= 1) continue;
      if (tensor == tensors[0]) {
        result[d] = rule.labels(tensor)[d];
      } else {
        rule.analysis.tie(result[d], rule.labels(tensor)[d], rule.reason);
      }
    }
  }
  if (labelled) {
    rule.analysis.separate(pieces);
  } else {
    result[dim].clear();
  }
  rule.setResult(std::move(result));
}

// chunk, split, split_with_sizes: pieces of one call that are cut by a common size keep equal widths.
void split(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const auto in = rule.labels(input);
  const int64_t dim = rule.wrap(rule.integer("dim"), rule.rank(input));
  std::vector<SlotId> results;
  for (const auto& tree : rule.instruction.results) collectSlots(tree, results);
  const bool bySizes = rule.instruction.schema->name() == "aten::split_with_sizes";
  std::vector<Labels> pieces;
  int64_t begin = 0;
  for (const SlotId result : results) {
    const int64_t size = rule.sizes(result)[dim];
    auto labels = in;
    if (!in[dim].empty()) {
      labels[dim] = Labels(in[dim].begin() + begin, in[dim].begin() + begin + size);
      pieces.push_back(labels[dim]);
    }
    rule.labels(result) = std::move(labels);
    begin += size;
  }
  if (pieces.empty()) return;
  rule.analysis.separate(pieces);
  if (bySizes) return;
  for (size_t k = 1; k < pieces.size(); ++k) rule.analysis.tie(pieces[0], pieces[k], rule.reason);
}

void slice(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const int64_t dim = rule.wrap(rule.integer("dim"), rule.rank(input));
  auto labels = rule.labels(input);
  if (rule.sizes(input)[dim] != rule.sizes(rule.result())[dim]) {
    rule.analysis.fix(labels[dim], rule.reason);
    labels[dim].clear();
  }
  rule.setResult(std::move(labels));
}

void select(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const int64_t dim = rule.wrap(rule.integer("dim"), rule.rank(input));
  auto labels = rule.labels(input);
  rule.analysis.fix(labels[dim], rule.reason);
  labels.erase(labels.begin() + dim);
  rule.setResult(std::move(labels));
}

void reduce(const Rule& rule) {
  const SlotId input = rule.slot("self");
  const int64_t rank = rule.rank(input);
  if (!rule.instruction.schema->argumentIndexWithName("dim").has_value()) return keepWhole(rule);
  const auto& value = rule.argument("dim").constant;
  std::vector<int64_t> dims;
  if (value.isIntList()) {
    dims = value.toIntVector();
  } else if (value.isInt()) {
    dims = {value.toInt()};
  } else {
    return keepWhole(rule);
  }
  std::unordered_set<int64_t> reduced;
  for (const int64_t dim : dims) reduced.insert(rule.wrap(dim, rank));
  const bool keep = rule.argument("keepdim").constant.toBool();
  std::vector<Labels> result;
  for (int64_t d = 0; d < rank; ++d) {
    if (reduced.count(d) == 0) {
      result.push_back(rule.labels(input)[d]);
    } else if (keep) {
      result.emplace_back();
    }
  }
  rule.setResult(std::move(result));
}

void embedding(const Rule& rule) {
  const auto& weight = rule.labels(rule.slot("weight"));
  rule.analysis.fix(weight.at(0), "its rows are looked up by index");
  std::vector<Labels> result(rule.sizes(rule.result()).size());
  result.back() = weight.at(1);
  rule.setResult(std::move(result));
}

using RuleFn = void (*)(const Rule&);

const std::unordered_map<std::string, RuleFn>& rules() {
  static const auto table = [] {
    std::unordered_map<std::string, RuleFn> all;
    const auto add = [&](RuleFn rule, std::initializer_list<const char*> names) {
      for (const char* name : names) all.emplace(std::string("aten::") + name, rule);
    };
    add(elementwise, {"relu",
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
    add(convolution, {"conv1d", "conv2d", "conv3d", "_convolution", "convolution", "conv_transpose1d",
                      "conv_transpose2d", "conv_transpose3d"});
    add(linear, {"linear"});
    add(matmul, {"matmul", "mm", "bmm"});
    add(addmm, {"addmm"});
    add(channelNorm, {"batch_norm", "instance_norm"});
    add(groupNorm, {"group_norm"});
    add(layerNorm, {"layer_norm"});
    add(prelu, {"prelu"});
    add(spatial,
        {"max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
         "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
         "adaptive_max_pool2d", "adaptive_max_pool3d", "max_pool2d_with_indices", "upsample_nearest1d",
         "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d", "upsample_bicubic2d"});
    add(reshape, {"view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "squeeze_",
                  "unsqueeze", "unsqueeze_", "view_as", "reshape_as"});
    add(permute, {"permute", "transpose", "transpose_", "t", "t_"});
    add(concatenate, {"cat", "concat", "concatenate"});
    add(split, {"chunk", "split", "split_with_sizes"});
    add(slice, {"slice"});
    add(select, {"select"});
    add(reduce, {"mean", "sum", "amax", "amin"});
    add(embedding, {"embedding"});
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

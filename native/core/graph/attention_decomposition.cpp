#include "core/graph/attention_decomposition.h"

#include <cmath>
#include <string>
#include <vector>

namespace torchsearch {

using torch::jit::Graph;
using torch::jit::NamedValue;
using torch::jit::Node;
using torch::jit::Value;

namespace {

c10::Symbol aten(const char* name) {
  return c10::Symbol::fromQualString(std::string("aten::") + name);
}

struct Attention {
  int64_t embedDim = 0;
  int64_t heads = 0;
  Value* inputWeight = nullptr;
  Value* inputBias = nullptr;
  Value* outputWeight = nullptr;
  Value* outputBias = nullptr;
  bool needWeights = false;
  bool averageWeights = true;
};

struct AttentionResult {
  Value* output = nullptr;
  Value* weights = nullptr;
};

// Emits operators in front of a node.
class Emitter {
 public:
  explicit Emitter(Node* node) : graph_(*node->owningGraph()), insertPoint_(node) {}

  Value* emit(const char* op, const std::vector<NamedValue>& arguments) {
    return graph_.insert(aten(op), arguments);
  }
  Value* list(const std::vector<Value*>& values) {
    return graph_.insertNode(graph_.createList(c10::IntType::get(), values))->output();
  }
  Value* constant(const c10::IValue& value) { return graph_.insertConstant(value); }

  // input: (batch, tokens, embedding)
  AttentionResult attention(Value* input, const Attention& a) {
    const int64_t headDim = a.embedDim / a.heads;
    Value* batch = emit("size", {input, 0});
    Value* tokens = emit("size", {input, 1});
    Value* projected = emit("linear", {input, a.inputWeight, a.inputBias});
    Value* split = emit(
        "reshape", {projected, list({batch, tokens, constant(3), constant(a.heads), constant(headDim)})});
    Value* parts = emit("permute", {split, constant(std::vector<int64_t>{2, 0, 3, 1, 4})});
    Value* query = emit("select", {parts, 0, 0});
    Value* key = emit("select", {parts, 0, 1});
    Value* value = emit("select", {parts, 0, 2});
    AttentionResult result;
    Value* mixed = nullptr;
    if (a.needWeights) {
      Value* scaled = emit("mul", {query, 1.0 / std::sqrt(static_cast<double>(headDim))});
      Value* scores = emit("matmul", {scaled, emit("transpose", {key, -2, -1})});
      Value* weights = emit("softmax", {scores, -1});
      mixed = emit("matmul", {weights, value});
      result.weights =
          a.averageWeights ? emit("mean", {weights, constant(std::vector<int64_t>{1})}) : weights;
    } else {
      mixed = emit("scaled_dot_product_attention", {query, key, value});
    }
    Value* joined =
        emit("reshape", {emit("transpose", {mixed, 1, 2}), list({batch, tokens, constant(a.embedDim)})});
    result.output = emit("linear", {joined, a.outputWeight, a.outputBias});
    return result;
  }

  Value* feedForward(Value* input, const std::vector<Value*>& weights, bool gelu) {
    Value* hidden = emit("linear", {input, weights[0], weights[1]});
    Value* active = gelu ? emit("gelu", {hidden}) : emit("relu", {hidden});
    return emit("linear", {active, weights[2], weights[3]});
  }

 private:
  Graph& graph_;
  torch::jit::WithInsertPoint insertPoint_;
};

template <typename T>
std::optional<T> known(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant.has_value() && !constant->isNone() ? std::optional<T>(constant->to<T>()) : std::nullopt;
}

bool isNone(const Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant.has_value() && constant->isNone();
}

bool divides(const std::optional<int64_t>& embedDim, const std::optional<int64_t>& heads) {
  return embedDim.has_value() && heads.has_value() && *heads > 0 && *embedDim % *heads == 0;
}

// What was emitted for a kernel comes from where it came from.
void placeLike(Node* kernel, Node* before) {
  for (Node* node = before->next(); node != kernel; node = node->next()) node->copyMetadata(kernel);
}

void decomposeAttention(Node* node) {
  const auto in = node->inputs();
  const auto embedDim = known<int64_t>(in[3]);
  const auto heads = known<int64_t>(in[4]);
  const auto average = known<bool>(in[11]);
  const bool isSelfAttention = in[0] == in[1] && in[1] == in[2];
  if (!isSelfAttention || !divides(embedDim, heads) || !isNone(in[9]) || !average.has_value()) return;
  Node* const before = node->prev();
  Emitter emitter(node);
  const auto result = emitter.attention(
      in[0], {*embedDim, *heads, in[5], in[6], in[7], in[8], node->outputs()[1]->hasUses(), *average});
  node->outputs()[0]->replaceAllUsesWith(result.output);
  if (result.weights != nullptr) node->outputs()[1]->replaceAllUsesWith(result.weights);
  placeLike(node, before);
  node->destroy();
}

void decomposeEncoderLayer(Node* node) {
  const auto in = node->inputs();
  const auto embedDim = known<int64_t>(in[1]);
  const auto heads = known<int64_t>(in[2]);
  const auto gelu = known<bool>(in[7]);
  const auto normFirst = known<bool>(in[8]);
  const auto epsilon = known<double>(in[9]);
  if (!divides(embedDim, heads) || !gelu.has_value() || !normFirst.has_value() || !epsilon.has_value() ||
      !isNone(in[18])) {
    return;
  }
  Node* const before = node->prev();
  Emitter emitter(node);
  const auto norm = [&](Value* input, size_t weight) {
    return emitter.emit("layer_norm", {input, emitter.constant(std::vector<int64_t>{*embedDim}), in[weight],
                                       in[weight + 1], *epsilon});
  };
  const auto attend = [&](Value* input) {
    return emitter.attention(input, {*embedDim, *heads, in[3], in[4], in[5], in[6]}).output;
  };
  const auto feedForward = [&](Value* input) {
    return emitter.feedForward(input, {in[14], in[15], in[16], in[17]}, *gelu);
  };
  Value* value = in[0];
  if (*normFirst) {
    value = emitter.emit("add", {value, attend(norm(value, 10))});
    value = emitter.emit("add", {value, feedForward(norm(value, 12))});
  } else {
    value = norm(emitter.emit("add", {value, attend(value)}), 10);
    value = norm(emitter.emit("add", {value, feedForward(value)}), 12);
  }
  node->output()->replaceAllUsesWith(value);
  placeLike(node, before);
  node->destroy();
}

}  // namespace

void decomposeFusedAttention(Graph& graph) {
  static const c10::Symbol attention = aten("_native_multi_head_attention");
  static const c10::Symbol encoderLayer = aten("_transformer_encoder_layer_fwd");
  std::vector<Node*> fused;
  // A trace has no branches; a scripted model's fused kernels stand in branches that are avoided.
  for (Node* node : graph.block()->nodes()) {
    if (node->kind() == attention || node->kind() == encoderLayer) fused.push_back(node);
  }
  for (Node* node : fused) {
    node->kind() == attention ? decomposeAttention(node) : decomposeEncoderLayer(node);
  }
}

}  // namespace torchsearch

#include "core/train/graph_forward.h"

#include <utility>

#include "core/base/failure.h"
#include "core/call/arguments.h"
#include "core/graph/operator_traits.h"
#include "core/graph/recorder.h"

namespace torchsearch {

using torch::jit::Node;

namespace {

const c10::Symbol& batchNorm() {
  static const c10::Symbol symbol = c10::Symbol::fromQualString("aten::batch_norm");
  return symbol;
}

void setArgument(const Node* node, const char* name, std::vector<c10::IValue>& arguments,
                 const c10::IValue& value) {
  arguments[*node->schema().argumentIndexWithName(name)] = value;
}

}  // namespace

GraphForward::GraphForward(const std::shared_ptr<Module>& module) : module_(module) {
  module->schema();  // ERR_NO_FORWARD
  graph_ = InlinedGraph::copyOf(module->jit(), InlinedGraph::FusedAttention::kAvoid);
  for (const Node* node : graph_->nodes()) {
    if (node->kind() == torch::jit::prim::GetAttr && node->s(torch::jit::attr::name) == "training")
      asksForMode_ = true;
    if (node->kind() == batchNorm()) hasBatchNorm_ = true;
  }
  interpreter_ =
      std::make_unique<Interpreter>(*graph_, InterpreterOptions{false, this}, nullptr, CancelToken());
}

torch::jit::Operation* GraphForward::beforeOperator(Node* node, torch::jit::Operation&,
                                                    std::vector<c10::IValue>& arguments) {
  const bool everywhere = mode_ == Mode::kTrain && !asksForMode_;
  if (!everywhere && mode_ != Mode::kRecalibrate) return nullptr;
  if (node->kind() == batchNorm()) {
    setArgument(node, "training", arguments, true);
    // Momentum 1 / n gives the plain average over the batches seen.
    if (mode_ == Mode::kRecalibrate)
      setArgument(node, "momentum", arguments, 1.0 / static_cast<double>(batch_ + 1));
  } else if (everywhere && traitsOf(node->kind().toQualString()).isDropout) {
    setArgument(node, "train", arguments, true);
  }
  return nullptr;
}

c10::IValue GraphForward::run(const Inputs& inputs, Mode mode, int64_t batch) {
  mode_ = mode;
  batch_ = batch;
  const c10::Device device = module_->device();
  auto arguments = arrangeInputs(*graph_, inputs);
  for (size_t i = 1; i < arguments.size(); ++i) arguments[i] = onDevice(arguments[i], device);
  return withFailureCode("ERR_FORWARD", [&] { return interpreter_->run(std::move(arguments)); });
}

}  // namespace torchsearch

#include "core/forward/evaluator.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/call/arguments.h"
#include "core/forward/agreement.h"
#include "core/forward/executor.h"
#include "core/forward/forward_graph.h"
#include "core/forward/prepared_program.h"
#include "core/graph/call_shape.h"
#include "core/graph/generator_guard.h"
#include "core/graph/module_state.h"
#include "core/graph/recorder.h"

namespace torchsearch {
namespace {

// Shapes that are kept; a loader gives one or two.
constexpr size_t kMostShapes = 8;

// Calls with one shape in a row before it is captured.
constexpr int32_t kCaptureAt = 3;

// Whether forward assigns attributes, which a recorded program does not.
bool assignsAttributes(const InlinedGraph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const torch::jit::Node* node) { return node->kind() == torch::jit::prim::SetAttr; });
}

}  // namespace

struct Evaluator::Entry {
  std::shared_ptr<const ExecutionPlan> plan;  // null where the module's own forward runs
  std::unique_ptr<Executor> executor;
  std::unique_ptr<ProgramPreparer> preparer;
  Bindings bindings;
  std::unique_ptr<ForwardGraph> graph;  // of these bindings; null while none is captured
  bool canCapture = true;

  void refuse() {
    graph.reset();
    plan.reset();
    executor.reset();
    preparer.reset();
    bindings = {};
  }
};

Evaluator::Evaluator(torch::jit::Module module)
    : module_(std::move(module)),
      // Nothing is dropped: all of it belongs to the one set of weights, and changes with it.
      weights_(std::make_shared<WeightCache>(std::numeric_limits<int64_t>::max())) {
  try {
    graph_ = InlinedGraph::copyOf(module_, InlinedGraph::FusedAttention::kKeep);
    if (assignsAttributes(*graph_)) graph_.reset();
  } catch (const std::exception&) {
    graph_.reset();
  }
}

c10::IValue Evaluator::plain(const Inputs& inputs) {
  auto method = module_.get_method("forward");
  return method(bindArguments(method.function().getSchema(), inputs));
}

c10::IValue Evaluator::run(const Inputs& inputs, const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  if (graph_ == nullptr) return plain(inputs);
  const auto entry = entryFor(inputs, cancel);
  if (entry->plan == nullptr) return plain(inputs);
  auto& bindings = entry->bindings;
  if (bindings.prepared == nullptr || !bindings.prepared->isCurrent()) {
    weights_->clear();
    entry->graph.reset();
    bindings = bindModule(entry->plan->program(), module_);
    entry->preparer->prepare(bindings);
    if (bindings.prepared == nullptr) return plain(inputs);
  }
  return launch(entry, inputTensors(*graph_, inputs), cancel);
}

c10::IValue Evaluator::launch(const std::shared_ptr<Entry>& entry, const std::vector<at::Tensor>& inputs,
                              const CancelToken& cancel) {
  inARow_ = entry == last_ ? inARow_ + 1 : 1;
  last_ = entry;
  if (!forwardGraphs()) entry->graph.reset();
  if (entry->graph != nullptr) {
    cancel.throwIfCancelled();
    return entry->graph->replay(inputs);
  }
  const auto forward = [&](const std::vector<at::Tensor>& given) {
    return entry->executor->run(entry->bindings, given, cancel);
  };
  c10::IValue output = forward(inputs);
  const bool captures = inARow_ >= kCaptureAt && entry->canCapture && forwardGraphs() && !inputs.empty() &&
                        ForwardGraph::offered(inputs.front().device());
  if (!captures) return output;
  entry->canCapture = false;
  if (!ForwardGraph::canHold(entry->plan->program())) return output;
  try {
    auto graph = std::make_unique<ForwardGraph>(inputs.front().device(), inputs, forward);
    std::vector<at::Tensor> wanted;
    std::vector<at::Tensor> given;
    collectTensors(output, wanted);
    collectTensors(graph->replay(inputs), given);
    if (std::equal(given.begin(), given.end(), wanted.begin(), wanted.end(), agrees)) {
      entry->graph = std::move(graph);
      entry->canCapture = true;  // again, when the weights change
    }
  } catch (const Error& error) {
    if (error.code() != "ERR_ABORTED") return output;
    entry->canCapture = true;
    throw;
  } catch (const std::exception&) {
    // It is launched kernel by kernel, as before.
  }
  return output;
}

bool Evaluator::isCaptured(const Inputs& inputs) const {
  if (graph_ == nullptr) return false;
  const auto found = entries_.find(shapeKey(*graph_, inputs));
  return found != entries_.end() && found->second->graph != nullptr;
}

bool Evaluator::isPrepared(const Inputs& inputs) const {
  if (graph_ == nullptr) return false;
  const auto found = entries_.find(shapeKey(*graph_, inputs));
  return found != entries_.end() && found->second->plan != nullptr;
}

std::shared_ptr<Evaluator::Entry> Evaluator::entryFor(const Inputs& inputs, const CancelToken& cancel) {
  const std::string key = shapeKey(*graph_, inputs);
  const auto found = entries_.find(key);
  if (found != entries_.end()) return found->second;
  auto entry = std::make_shared<Entry>();
  if (entries_.size() >= kMostShapes) return entry;  // which runs the module's own forward
  try {
    const auto recording = record(graph_, copied(inputs), {}, cancel);
    if (!recording.program->dataDependent && recording.program->carriedState.empty()) {
      entry->plan = std::make_shared<const ExecutionPlan>(recording.program);
      entry->executor = std::make_unique<Executor>(entry->plan);
      entry->preparer = std::make_unique<ProgramPreparer>(entry->plan, weights_);
      trial(*entry, inputs, recording.output, cancel);
    }
  } catch (const Error& error) {
    if (error.code() == "ERR_ABORTED") throw;
    entry->refuse();
  } catch (const std::exception&) {
    entry->refuse();
  }
  entries_.emplace(key, entry);
  return entry;
}

void Evaluator::trial(Entry& entry, const Inputs& inputs, const c10::IValue& expected,
                      const CancelToken& cancel) {
  std::vector<at::Tensor> wanted;
  std::vector<at::Tensor> given;
  collectTensors(expected, wanted);
  {
    const GeneratorGuard generator;
    const ModuleState state(module_);
    entry.bindings = bindModule(entry.plan->program(), module_);
    entry.preparer->prepare(entry.bindings);
    if (entry.bindings.prepared == nullptr) return;
    collectTensors(entry.executor->run(entry.bindings, inputTensors(*graph_, copied(inputs)), cancel), given);
  }
  if (!std::equal(given.begin(), given.end(), wanted.begin(), wanted.end(), agrees)) entry.refuse();
}

}  // namespace torchsearch

#include "core/forward/forward_graph.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <unordered_set>

#include "core/graph/operator_traits.h"
#include "core/graph/storage_classes.h"

#if __has_include(<ATen/core/GraphImplInterface.h>)
#include <ATen/core/GraphImplInterface.h>
#define TORCHSEARCH_HAS_GRAPHS 1
#else
#define TORCHSEARCH_HAS_GRAPHS 0
#endif

namespace torchsearch {

namespace {

std::atomic<bool> graphsAreOn = false;

}  // namespace

void setForwardGraphs(bool on) {
  graphsAreOn = on;
}

bool forwardGraphs() {
  return graphsAreOn;
}

bool ForwardGraph::canHold(const Program& program) {
  if (program.dataDependent || !program.carriedState.empty()) return false;
  const StorageClasses storage(program);
  std::unordered_set<SlotId> written;
  for (const Instruction& instruction : program.instructions) {
    if (!instruction.runs()) continue;
    if (instruction.schema == nullptr) return false;
    const auto found = c10::Dispatcher::singleton().findSchema(instruction.schema->operator_name());
    const bool evaluates = runsForEvaluation(instruction);
    if (!found || found->hasTag(at::Tag::data_dependent_output) ||
        found->hasTag(at::Tag::dynamic_output_shape) ||
        (found->hasTag(at::Tag::nondeterministic_seeded) && !evaluates)) {
      return false;
    }
    const auto statistics = evaluates ? Statistics::kIgnored : Statistics::kWritten;
    for (const SlotId slot : writtenSlots(instruction, statistics)) written.insert(storage.of(slot));
  }
  for (size_t i = 0; i < program.slots.size(); ++i) {
    const bool stays = program.slots[i].isStored() || program.slots[i].kind == Slot::Kind::kConstant ||
                       program.slots[i].kind == Slot::Kind::kInput;
    if (stays && written.count(storage.of(static_cast<SlotId>(i))) > 0) return false;
  }
  return true;
}

#if TORCHSEARCH_HAS_GRAPHS

namespace {

// Lets `after` go on once all that was put on `before` is done.
void order(const c10::Stream& before, const c10::Stream& after) {
  c10::Event event(before.device_type());
  event.record(before);
  event.block(after);
}

}  // namespace

struct ForwardGraph::Captured {
  c10::Device device;
  std::vector<at::Tensor> inputs;  // whose memory the kernels read
  c10::IValue output;              // in the graph's own pool of memory
  // Before the tensors above are freed, no kernel of it may run any more: destroyed first.
  std::unique_ptr<at::GraphImplInterface> graph;
};

bool ForwardGraph::offered(c10::Device device) {
  return !device.is_cpu() && at::has_graph_impl(device.type());
}

ForwardGraph::ForwardGraph(c10::Device device, const std::vector<at::Tensor>& inputs, const Forward& forward)
    : captured_(std::make_unique<Captured>(Captured{device, {}, {}, nullptr})) {
  for (const at::Tensor& input : inputs) {
    TORCH_CHECK(input.defined() && input.device() == device, "a graph's inputs must be on its device");
    captured_->inputs.push_back(input.clone());
  }
  const c10::impl::VirtualGuardImpl implementation(device.type());
  const c10::Stream computing = implementation.getStream(device);
  // A backend captures on no default stream.
  const c10::Stream capturing = implementation.getStreamFromGlobalPool(device);
  order(computing, capturing);
  {
    const c10::StreamGuard onCapturing(capturing);
    forward(captured_->inputs);  // what libraries set up for a stream at its first use can't be captured
    auto graph = at::create_graph_impl(device.type());
    // Only this thread's calls are held against the capture: batches are made ahead meanwhile by another.
    graph->capture_begin({0, 0}, at::GraphCaptureMode::ThreadLocal);
    try {
      captured_->output = forward(captured_->inputs);
    } catch (...) {
      try {
        graph->capture_end();
      } catch (const std::exception&) {
        // A capture that failed ends with an error of its own; the first one tells more.
      }
      throw;
    }
    graph->capture_end();
    captured_->graph = std::move(graph);
  }
  order(capturing, computing);
}

ForwardGraph::~ForwardGraph() = default;

c10::IValue ForwardGraph::replay(const std::vector<at::Tensor>& inputs) {
  TORCH_CHECK(inputs.size() == captured_->inputs.size(), "a graph was captured with other inputs");
  for (size_t i = 0; i < inputs.size(); ++i) {
    TORCH_CHECK(inputs[i].sizes() == captured_->inputs[i].sizes(), "a graph was captured with other shapes");
    captured_->inputs[i].copy_(inputs[i], /*non_blocking=*/true);
  }
  captured_->graph->replay();
  return captured_->output.deepcopy();  // the next replay writes over it
}

#else

struct ForwardGraph::Captured {};

bool ForwardGraph::offered(c10::Device) {
  return false;
}

ForwardGraph::ForwardGraph(c10::Device, const std::vector<at::Tensor>&, const Forward&) {
  TORCH_CHECK(false, "this PyTorch has no device-generic graphs");
}

ForwardGraph::~ForwardGraph() = default;

c10::IValue ForwardGraph::replay(const std::vector<at::Tensor>&) {
  TORCH_CHECK(false, "this PyTorch has no device-generic graphs");
}

#endif

}  // namespace torchsearch

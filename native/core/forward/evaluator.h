#pragma once

#include <torch/script.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/base/cancel.h"
#include "core/call/forwardable.h"
#include "core/forward/weight_cache.h"
#include "core/graph/inlined_graph.h"

namespace torchsearch {

// Runs a module that is only evaluated faster than its own forward does: as a straight line of operators,
// recorded once for each shape of inputs and prepared (ProgramPreparer). On the first batch of a shape both
// ways run, and where they differ by more than rounding, or the module can't be recorded (control flow or
// sizes that depend on values, state kept from one call to the next), its own forward does it for good. One
// thread at a time.
class Evaluator {
 public:
  explicit Evaluator(torch::jit::Module module);

  // The module must be as it was when this was made, but for the values of parameters and buffers.
  // `inputs` must fit the module's signature and be on its device. What the module throws.
  c10::IValue run(const Inputs& inputs, const CancelToken& cancel);

  // Whether inputs of this shape run prepared. False for a shape that was not met yet.
  bool isPrepared(const Inputs& inputs) const;
  // Whether inputs of this shape run as a captured graph (ForwardGraph): on an accelerator where graphs are
  // offered and on, from the third call in a row with such inputs, so that the odd last batch of a pass is
  // launched as usual. A shape that can't be captured is not tried again.
  bool isCaptured(const Inputs& inputs) const;

 private:
  struct Entry;
  std::shared_ptr<Entry> entryFor(const Inputs& inputs, const CancelToken& cancel);
  void trial(Entry& entry, const Inputs& inputs, const c10::IValue& expected, const CancelToken& cancel);
  c10::IValue plain(const Inputs& inputs);
  c10::IValue launch(const std::shared_ptr<Entry>& entry, const std::vector<at::Tensor>& inputs,
                     const CancelToken& cancel);

  torch::jit::Module module_;
  std::shared_ptr<InlinedGraph> graph_;  // null when the module can't be recorded at all
  std::shared_ptr<WeightCache> weights_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;  // by the shape of inputs
  std::shared_ptr<Entry> last_;                            // that ran prepared
  int32_t inARow_ = 0;                                     // its calls without another's in between
};

}  // namespace torchsearch

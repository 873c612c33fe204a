#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <vector>

#include "core/graph/program.h"

namespace torchsearch {

// One forward of a program at fixed shapes, captured on an accelerator as a graph of its kernels and launched
// again as a whole, which spares the CPU launching each. Captured are addresses: the weights must stay where
// they are, and inputs are copied to where they were at capture. By PyTorch's device-generic interface, which
// came with 2.12 or later and which a backend has to be registered for; it names no device.
class ForwardGraph {
 public:
  using Forward = std::function<c10::IValue(const std::vector<at::Tensor>& inputs)>;

  // Whether this LibTorch can capture on that kind of device.
  static bool offered(c10::Device device);
  // Whether every run of the program can be a replay of one: nothing in it draws random numbers, changes its
  // inputs or the model's state, or depends on values in a way that the CPU must know.
  static bool canHold(const Program& program);

  // Runs `forward` once to warm up and once captured, on a stream of its own, on copies of `inputs`, which
  // must all be on `device`; it must leave no trace but its output. What `forward` or the backend throws.
  ForwardGraph(c10::Device device, const std::vector<at::Tensor>& inputs, const Forward& forward);
  ~ForwardGraph();
  ForwardGraph(const ForwardGraph&) = delete;
  ForwardGraph& operator=(const ForwardGraph&) = delete;

  // What `forward` gives for inputs of these shapes, in memory of its own.
  c10::IValue replay(const std::vector<at::Tensor>& inputs);

 private:
  struct Captured;
  std::unique_ptr<Captured> captured_;
};

// Whether models that are evaluated may be captured; not, unless it is set. From any thread.
void setForwardGraphs(bool on);
bool forwardGraphs();

}  // namespace torchsearch

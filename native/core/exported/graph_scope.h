#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/exported/json.h"

namespace torchsearch::exported {

// The values that a graph's names stand for.
class Names {
 public:
  void set(const std::string& name, torch::jit::Value* value) { values_[name] = value; }
  // ERR_EXPORTED_PROGRAM for a name that nothing before it made.
  torch::jit::Value* get(const std::string& name) const;
  // Gives what an argument names, such as {"as_tensor": {"name": "x"}}, this value; constants name nothing.
  void setArgument(const Json& argument, torch::jit::Value* value);

 private:
  std::map<std::string, torch::jit::Value*> values_;
};

// What is known while a program's graph is built.
struct GraphContext {
  torch::jit::Graph& graph;
  // The module's `training`, where the program's dropouts and batch norms follow it; else null.
  torch::jit::Value* training = nullptr;
  // Whether the program was exported in training mode: its flags that are off stay off, then.
  bool trained = false;
  // Where the program was exported, and where it is loaded to.
  c10::DeviceType exportedOn = c10::kCPU;
  c10::Device device = c10::kCPU;
  // Names of the counters of batches that batch norms have.
  std::set<std::string> batchCounters{};
  // Names of the tensors of truth values.
  std::set<std::string> truths{};

  // Whether a node's only output is one of those.
  bool isTruth(const Json& outputs) const;
};

// "a.b" as its parts. ERR_EXPORTED_PROGRAM for a name that no module's tensor has.
std::vector<std::string> partsOf(const std::string& name);

}  // namespace torchsearch::exported

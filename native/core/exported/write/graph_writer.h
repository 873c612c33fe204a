#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/exported/json.h"
#include "core/exported/write/argument_writer.h"
#include "core/exported/write/input_writer.h"
#include "core/exported/write/module_stacks.h"
#include "core/exported/write/shape_probes.h"
#include "core/exported/write/stored_values.h"

namespace torchsearch::exported {

// Writes a recorded program as the graph of an exported one: what it stores, its operators, its outputs.
class GraphWriter {
 public:
  GraphWriter(const torch::jit::Module& module, const ShapeProbes& probes, const InputWriter& inputs,
              const Json& origin, WrittenNames& names);

  // The "graph" of the program. To be called once, before what follows.
  Json write();
  const std::vector<StoredValue>& stored() const { return stored_; }
  const Json& outputSpecs() const { return outputSpecs_; }
  const std::string& outputTree() const { return outputTree_; }

 private:
  using Steps = std::vector<const Instruction*>;

  Steps stepsOf(size_t instruction) const;
  void placeTensors();
  void addStored(StoredValue::Kind kind, const std::string& path, const at::Tensor& tensor);
  void computeConstants();
  void findLive();
  void placeConstants();
  void nameInputs();
  void addNode(size_t instruction);
  Json addResults(const Instruction& step, const std::string& base);
  std::string nameResult(SlotId slot, const std::string& base);
  Json metaOf(SlotId slot, bool requiresGrad) const;
  void addAssignments();
  void addOutputs();
  void addOutput(const std::vector<const ValueTree*>& values);

  const torch::jit::Module& module_;
  const ShapeProbes& probes_;
  const Program& program_;  // at the example's sizes
  const InputWriter& inputs_;
  const Json& origin_;
  WrittenNames& names_;
  ModuleStacks stacks_;
  NumberWriter numbers_;
  SlotNames slotNames_;
  ArgumentWriter arguments_;
  std::vector<StoredValue> stored_;
  std::map<SlotId, at::Tensor> constants_;
  std::vector<bool> live_;  // by instruction
  std::set<SlotId> used_;
  Json nodes_ = Json::array();
  Json tensorValues_ = Json::object();
  Json outputs_ = Json::array();
  Json outputSpecs_ = Json::array();
  std::string outputTree_;
};

}  // namespace torchsearch::exported

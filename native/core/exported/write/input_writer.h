#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/call/inputs.h"
#include "core/exported/json.h"
#include "core/exported/pytree.h"
#include "core/exported/write/shape_probes.h"
#include "core/exported/write/written_names.h"

namespace torchsearch::exported {

// A program's inputs as they are written: nested as the exported program had them that the model comes from,
// or as the example is given.
class InputWriter {
 public:
  // Takes the names of the leaves.
  InputWriter(const ShapeProbes& probes, const torch::jit::Module& module, const Inputs& example,
              const Json& origin, WrittenNames& names);

  struct Leaf {
    std::string name;
    c10::IValue value;
    std::optional<size_t> tensor;  // which of the inputs' tensors it is, depth first
  };
  const std::vector<Leaf>& leaves() const { return leaves_; }
  std::vector<std::string> tensorNames() const;
  const std::string& treeText() const { return treeText_; }
  const Json& argumentNames() const { return argumentNames_; }
  // Positional and keyword arguments as Python takes them.
  c10::IValue samples() const;

 private:
  void flatten(const Tree& tree, const c10::IValue& value, const std::string& name);

  const ShapeProbes& probes_;
  std::vector<at::Tensor> tensors_;
  std::vector<size_t> chosen_;  // which arguments the tree's are
  std::vector<Leaf> leaves_;
  std::vector<std::string> given_;  // names of the leaves in the program that the model comes from
  WrittenNames& names_;
  Tree tree_;
  std::string treeText_;
  Json argumentNames_ = Json::array();
};

// How a value is nested. ERR_EXPORTED_WRITE for dictionaries whose keys are no texts.
Tree treeOf(const c10::IValue& value);

}  // namespace torchsearch::exported

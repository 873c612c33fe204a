#pragma once

#include <torch/script.h>

#include <unordered_set>
#include <vector>

namespace torchsearch {

// Gives a tensor the contents that a clone of it kept. Elements may share memory, as those of an expanded
// tensor do.
void restoreContents(const at::Tensor& tensor, const at::Tensor& contents);

// Restores what a forward may change of a module, at the end of a scope: attributes that are no parameters,
// by value, and the contents of buffers.
class ModuleState {
 public:
  explicit ModuleState(const torch::jit::Module& module);
  ~ModuleState();
  ModuleState(const ModuleState&) = delete;
  ModuleState& operator=(const ModuleState&) = delete;

 private:
  struct Attribute {
    c10::intrusive_ptr<c10::ivalue::Object> object;
    size_t slot = 0;
    c10::IValue value;
    at::Tensor contents;  // undefined where the value is no tensor
  };

  void remember(const torch::jit::Module& module, std::unordered_set<const c10::ivalue::Object*>& seen);

  std::vector<Attribute> attributes_;
};

}  // namespace torchsearch

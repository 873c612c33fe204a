#include "core/model/module.h"

#include <torch/csrc/jit/passes/canonicalize.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <algorithm>
#include <unordered_set>

#include "core/base/failure.h"
#include "core/call/arguments.h"
#include "core/device/tensor_memory.h"
#include "core/hash/sha256.h"
#include "core/model/module_file.h"

namespace torchsearch {
namespace {

// Removes "___torch_mangle_12." and the like, which depend on what else the process has loaded.
std::string withoutMangling(std::string text) {
  static constexpr std::string_view kMark = "___torch_mangle_";
  for (size_t at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at)) {
    size_t end = at + kMark.size();
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    if (end < text.size() && text[end] == '.') ++end;
    text.erase(at, end - at);
  }
  return text;
}

template <class List>
std::vector<NamedTensor> eachOnce(const List& list) {
  std::vector<NamedTensor> out;
  std::unordered_set<const void*> seen;
  for (const auto& item : list) {
    if (item.value.defined() && seen.insert(item.value.unsafeGetTensorImpl()).second) {
      out.push_back({item.name, item.value});
    }
  }
  return out;
}

void hashTensor(Sha256& hash, const NamedTensor& item) {
  hash.update(item.name);
  hash.update(std::string_view("\0", 1));
  hash.update(c10::toString(item.tensor.scalar_type()));
  for (const int64_t size : item.tensor.sizes()) {
    hash.update(std::string_view(" "));
    hash.update(std::to_string(size));
  }
  hash.update(std::string_view("\0", 1));
  const at::Tensor bytes = item.tensor.detach().to(c10::kCPU).contiguous();
  if (bytes.numel() > 0) hash.update(bytes.const_data_ptr(), bytes.nbytes());
}

}  // namespace

Module::Module(torch::jit::Module module, ExtraFiles extraFiles)
    : module_(std::move(module)), extraFiles_(std::move(extraFiles)) {
  refresh(*module_);
}

std::shared_ptr<Module> Module::load(const std::string& path, const LoadOptions& options) {
  auto [module, extraFiles] = readModuleFile(path, options);
  return std::make_shared<Module>(std::move(module), std::move(extraFiles));
}

// Recomputes what the cheap questions answer from.
void Module::refresh(const torch::jit::Module& module) {
  std::shared_ptr<const c10::FunctionSchema> schema;
  if (const auto method = module.find_method("forward")) {
    schema = std::make_shared<const c10::FunctionSchema>(method->function().getSchema());
  }
  c10::Device device = c10::kCPU;
  for (const at::Tensor& parameter : module.parameters()) {
    device = parameter.device();
    break;
  }
  const std::lock_guard guard(state_);
  evaluator_.reset();  // made for another mode or device
  schema_ = std::move(schema);
  device_ = device;
  training_ = module.hasattr("training") && module.attr("training").isBool() && module.is_training();
}

torch::jit::Module Module::jit() const {
  const std::lock_guard guard(state_);
  if (!module_) throw Error("ERR_CLOSED", "This module is closed; load it again to use it.");
  return *module_;
}

std::unique_lock<std::recursive_mutex> Module::lock() const {
  return std::unique_lock(running_);
}

std::shared_ptr<const c10::FunctionSchema> Module::schema() const {
  const std::lock_guard guard(state_);
  if (!module_) throw Error("ERR_CLOSED", "This module is closed; load it again to use it.");
  if (!schema_) throw Error("ERR_NO_FORWARD", "This module has no forward method; export one that has.");
  return schema_;
}

c10::IValue Module::forward(const Inputs& inputs, const CancelToken& cancel) {
  cancel.throwIfCancelled();
  const auto guard = lock();
  torch::jit::Module module = jit();
  std::vector<c10::IValue> stack = bindArguments(*schema(), inputs);
  const c10::Device target = device();
  for (c10::IValue& value : stack) value = onDevice(value, target);
  return withFailureCode("ERR_FORWARD", [&] {
    // Not inference mode: its tensors could not be shared with code that later trains or edits the weights.
    const torch::NoGradGuard noGrad;
    const TensorMemory::Scope memory;
    c10::IValue output = module.get_method("forward")(std::move(stack));
    // Batch norms update their statistics without counting up their versions, which tell what was computed
    // from them that it is out of date.
    if (training_) {
      for (const at::Tensor& buffer : module.buffers()) buffer.unsafeGetTensorImpl()->bump_version();
    }
    cancel.throwIfCancelled();
    return output;
  });
}

c10::IValue Module::evaluate(const Inputs& inputs, const CancelToken& cancel) {
  const auto guard = lock();
  if (training()) return forward(inputs, cancel);
  cancel.throwIfCancelled();
  bindArguments(*schema(), inputs);  // ERR_INPUT
  std::shared_ptr<Evaluator> evaluator;
  {
    const std::lock_guard state(state_);
    if (module_ && evaluator_ == nullptr) evaluator_ = std::make_shared<Evaluator>(*module_);
    evaluator = evaluator_;
  }
  jit();  // ERR_CLOSED
  return withFailureCode("ERR_FORWARD", [&] {
    c10::IValue output = evaluator->run(onDevice(inputs, device()), cancel);
    cancel.throwIfCancelled();
    return output;
  });
}

c10::Device Module::device() const {
  const std::lock_guard guard(state_);
  return device_;
}

void Module::save(const std::string& path) const {
  const auto guard = lock();
  ExtraFiles files;
  {
    const std::lock_guard state(state_);
    files = extraFiles_;
  }
  writeModuleFile(jit(), files, path);
}

std::optional<std::string> Module::extraFile(const std::string& name) const {
  const std::lock_guard guard(state_);
  return extraFiles_.get(name);
}

void Module::setExtraFile(const std::string& name, std::string bytes) {
  const std::lock_guard guard(state_);
  extraFiles_.set(name, std::move(bytes));
}

std::vector<NamedTensor> Module::namedParameters() const {
  const auto guard = lock();
  return eachOnce(jit().named_parameters());
}

std::vector<NamedTensor> Module::namedBuffers() const {
  const auto guard = lock();
  return eachOnce(jit().named_buffers());
}

bool Module::training() const {
  jit();  // ERR_CLOSED
  return training_;
}

void Module::train(bool on) {
  const auto guard = lock();
  torch::jit::Module module = jit();
  if (on && !module.hasattr("training")) {
    throw Error("ERR_FROZEN",
                "This module was frozen (torch.jit.freeze), which removes its training mode; "
                "export it without freezing.");
  }
  module.train(on);
  refresh(module);
}

void Module::to(c10::Device device) {
  const auto guard = lock();
  torch::jit::Module module = jit();
  withFailureCode("ERR_DEVICE", [&] { module.to(device); });
  refresh(module);
  const std::lock_guard state(state_);
  device_ = device;
}

void Module::close() {
  std::optional<torch::jit::Module> released;
  std::shared_ptr<Evaluator> evaluator;
  const std::lock_guard guard(state_);
  released.swap(module_);
  evaluator.swap(evaluator_);
}

bool Module::closed() const {
  const std::lock_guard guard(state_);
  return !module_;
}

std::string Module::fingerprint() const {
  const auto guard = lock();
  const torch::jit::Module module = jit();
  Sha256 hash;
  if (const auto method = module.find_method("forward")) {
    const auto graph = method->graph()->copy();
    torch::jit::Inline(*graph);
    hash.update(
        withoutMangling(torch::jit::Canonicalize(graph, /*keep_unique_names=*/false)->toString(false)));
  }
  for (const NamedTensor& item : eachOnce(module.named_parameters())) hashTensor(hash, item);
  for (const NamedTensor& item : eachOnce(module.named_buffers())) hashTensor(hash, item);
  return hash.hex();
}

int64_t Module::bytes() const {
  const auto guard = lock();
  const torch::jit::Module module = jit();
  int64_t total = 0;
  std::unordered_set<const void*> seen;
  const auto add = [&](const at::Tensor& tensor) {
    if (tensor.defined() && tensor.has_storage() &&
        seen.insert(tensor.storage().unsafeGetStorageImpl()).second) {
      total += static_cast<int64_t>(tensor.storage().nbytes());
    }
  };
  for (const at::Tensor& parameter : module.parameters()) add(parameter);
  for (const at::Tensor& buffer : module.buffers()) add(buffer);
  return total;
}

}  // namespace torchsearch

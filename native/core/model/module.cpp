#include "core/model/module.h"

#include <torch/csrc/jit/passes/canonicalize.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <algorithm>
#include <unordered_set>

#include "core/base/failure.h"
#include "core/call/arguments.h"
#include "core/call/input_contract.h"
#include "core/device/tensor_memory.h"
#include "core/hash/sha256.h"
#include "core/model/exported_file.h"
#include "core/model/module_file.h"

namespace torchsearch {
namespace {

constexpr const char* kClosed = "This module is closed; load it again to use it.";

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

bool reassigns(const torch::jit::Block& block) {
  for (const torch::jit::Node* node : block.nodes()) {
    if (node->kind() == c10::prim::SetAttr) return true;
    for (const torch::jit::Block* inner : node->blocks()) {
      if (reassigns(*inner)) return true;
    }
  }
  return false;
}

// Whether any method of the module or of one inside gives an attribute another value.
bool reassigns(const torch::jit::Module& module) {
  std::unordered_set<const c10::ClassType*> seen;
  for (const torch::jit::Module& each : module.modules()) {
    const auto type = each.type();
    if (!seen.insert(type.get()).second) continue;
    for (torch::jit::Function* method : type->methods()) {
      if (const auto graph = torch::jit::tryToGraphFunction(*method)) {
        if (reassigns(*graph->graph()->block())) return true;
      }
    }
  }
  return false;
}

int64_t bytesOf(const std::vector<NamedTensor>& parameters, const std::vector<NamedTensor>& buffers) {
  int64_t total = 0;
  std::unordered_set<const void*> seen;
  for (const auto* tensors : {&parameters, &buffers}) {
    for (const auto& [name, tensor] : *tensors) {
      if (tensor.has_storage() && seen.insert(tensor.storage().unsafeGetStorageImpl()).second) {
        total += static_cast<int64_t>(tensor.storage().nbytes());
      }
    }
  }
  return total;
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
    : module_(std::move(module)), extraFiles_(std::move(extraFiles)), reassigns_(reassigns(*module_)) {
  refresh(*module_);
}

std::shared_ptr<Module> Module::load(const std::string& path, const LoadOptions& options) {
  auto [module, extraFiles, example] = readModuleFile(path, options);
  auto loaded = std::make_shared<Module>(std::move(module), std::move(extraFiles));
  if (example) loaded->setExample(std::make_shared<const Inputs>(std::move(*example)));
  return loaded;
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
  relist();
  const std::lock_guard guard(state_);
  evaluator_.reset();  // made for another mode or device
  schema_ = std::move(schema);
  device_ = device;
  training_ = module.hasattr("training") && module.attr("training").isBool() && module.is_training();
}

torch::jit::Module Module::jit() const {
  const std::lock_guard guard(state_);
  if (!module_) throw Error("ERR_CLOSED", kClosed);
  return *module_;
}

std::unique_lock<std::recursive_mutex> Module::lock() const {
  std::unique_lock guard(running_);
  if (reassigns_ && !closed()) relist();
  return guard;
}

std::shared_ptr<const c10::FunctionSchema> Module::schema() const {
  const std::lock_guard guard(state_);
  if (!module_) throw Error("ERR_CLOSED", kClosed);
  if (!schema_) throw Error("ERR_NO_FORWARD", "This module has no forward method; export one that has.");
  return schema_;
}

c10::IValue Module::forward(const Inputs& inputs, const CancelToken& cancel) {
  cancel.throwIfCancelled();
  const auto guard = lock();
  torch::jit::Module module = jit();
  std::vector<c10::IValue> stack = bindArguments(*schema(), inputs);
  requireContract(module, stack);
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
  requireContract(jit(), bindArguments(*schema(), inputs));  // ERR_INPUT
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

void Module::saveExported(const std::string& path, const std::optional<Inputs>& example,
                          const CancelToken& cancel) const {
  const auto guard = lock();
  const std::shared_ptr<const Inputs> own = this->example();
  if (!example && own == nullptr) {
    throw Error(
        "ERR_EXPORTED_WRITE",
        "An exported program is recorded on inputs, and none are known for this model: give the option "
        "input, such as { input: [tensor] }.");
  }
  ExtraFiles files;
  {
    const std::lock_guard state(state_);
    files = extraFiles_;
  }
  writeExportedFile(jit(), files, onDevice(example ? *example : *own, device()), path, cancel);
}

std::shared_ptr<const Inputs> Module::example() const {
  const std::lock_guard guard(state_);
  return example_;
}

void Module::setExample(std::shared_ptr<const Inputs> example) {
  const std::lock_guard guard(state_);
  example_ = std::move(example);
}

std::optional<std::string> Module::extraFile(const std::string& name) const {
  const std::lock_guard guard(state_);
  return extraFiles_.get(name);
}

void Module::setExtraFile(const std::string& name, std::string bytes) {
  const std::lock_guard guard(state_);
  extraFiles_.set(name, std::move(bytes));
}

// With the lock held, or before anybody else knows the module.
void Module::relist() const {
  const torch::jit::Module module = jit();
  auto listing = std::make_shared<Listing>();
  listing->parameters = eachOnce(module.named_parameters());
  listing->buffers = eachOnce(module.named_buffers());
  listing->bytes = bytesOf(listing->parameters, listing->buffers);
  const std::lock_guard guard(state_);
  if (module_) listing_ = std::move(listing);
}

// As the module is, or as the call that runs on it found it.
std::shared_ptr<const Module::Listing> Module::list() const {
  if (const std::unique_lock free(running_, std::try_to_lock); free.owns_lock()) relist();
  const std::lock_guard guard(state_);
  if (!module_) throw Error("ERR_CLOSED", kClosed);
  return listing_;
}

std::vector<std::string> Module::methods() const {
  std::vector<std::string> names;
  for (const auto* method : jit().type()->methods()) names.push_back(method->name());
  return names;
}

std::vector<NamedTensor> Module::namedParameters() const {
  return list()->parameters;
}

std::vector<NamedTensor> Module::namedBuffers() const {
  return list()->buffers;
}

bool Module::training() const {
  jit();  // ERR_CLOSED
  return training_;
}

bool Module::comingMode() const {
  const bool now = training();
  const std::lock_guard guard(state_);
  return announced_ > 0 ? announcedMode_ : now;
}

std::shared_ptr<void> Module::announceMode(bool on) {
  requireMode(on);
  const std::lock_guard guard(state_);
  ++announced_;
  announcedMode_ = on;
  return {this, [this](void*) {
            const std::lock_guard guard(state_);
            --announced_;
          }};
}

void Module::requireMode(bool on) const {
  if (!on || jit().hasattr("training")) return;
  throw Error("ERR_FROZEN",
              "This module was frozen (torch.jit.freeze), which removes its training mode; "
              "export it without freezing.");
}

void Module::train(bool on) {
  const auto guard = lock();
  torch::jit::Module module = jit();
  requireMode(on);
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
  std::shared_ptr<const Listing> listing;
  const std::lock_guard guard(state_);
  released.swap(module_);
  evaluator.swap(evaluator_);
  listing.swap(listing_);
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
  return list()->bytes;
}

void inheritExample(Module& made, const Module& from, const Inputs& analysed) {
  const std::shared_ptr<const Inputs> own = from.example();
  made.setExample(own != nullptr ? own : std::make_shared<const Inputs>(copied(analysed)));
}

}  // namespace torchsearch

#pragma once

#include <torch/script.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/call/forwardable.h"
#include "core/forward/evaluator.h"
#include "core/model/extra_files.h"

namespace torchsearch {

struct NamedTensor {
  std::string name;  // dotted path, as in a PyTorch state dict
  at::Tensor tensor;
};

struct LoadOptions {
  std::optional<c10::Device> device;
  // TorchScript files are programs. What one may name beside the operators that every file may
  // (core/archive/operator_policy.h): operators such as "prim::Print", and classes.
  std::set<std::string> allowUnsafe;
  // The most bytes that the file may have, unpacked.
  std::optional<uint64_t> maxModelBytes;
  // Whether the checksums of the archive's records are compared.
  bool verify = true;
  // Of a file with several exported programs: which one.
  std::optional<std::string> model;
};

// A TorchScript module. Every method may be called from any thread; calls on one module are serialized,
// except for the questions (`device`, `training`, `closed`, `schema`, the lists of tensors, `bytes`) and
// `close`, which never wait for a running call: while one runs, they answer as it found the module.
class Module : public Forwardable {
 public:
  explicit Module(torch::jit::Module module, ExtraFiles extraFiles = {});

  // A TorchScript file or an exported program (.pt2), as its content says.
  //
  // ERR_FILE_NOT_FOUND, ERR_FILE_READ, ERR_NOT_TORCHSCRIPT, ERR_MODEL_TOO_LARGE,
  // ERR_UNKNOWN_OPERATOR, ERR_UNKNOWN_CLASS, ERR_UNSAFE_OPERATOR,
  // ERR_EXPORTED_PROGRAM, ERR_UNSUPPORTED_EXPORT, ERR_MODEL_NAME
  static std::shared_ptr<Module> load(const std::string& path, const LoadOptions& options);

  // Inputs are moved to the module's device. ERR_INPUT before anything runs, ERR_FORWARD from inside the
  // model.
  c10::IValue forward(const Inputs& inputs, const CancelToken& cancel) override;
  // In training mode the same as forward; else see Evaluator, which keeps prepared copies of weights until
  // the mode or the device changes, or the module is closed.
  c10::IValue evaluate(const Inputs& inputs, const CancelToken& cancel) override;
  c10::Device device() const override;
  std::shared_ptr<const c10::FunctionSchema> schema() const override;

  // What the file holds beside the model, by name; nothing where there is no such file. `save` writes it
  // again.
  std::optional<std::string> extraFile(const std::string& name) const;
  void setExtraFile(const std::string& name, std::string bytes);

  // Written to a temporary file beside `path` and renamed, so an earlier file survives a failure.
  // ERR_FILE_WRITE
  void save(const std::string& path) const;
  // Likewise, as an exported program (core/model/exported_file.h), recorded on `example`, else on the
  // module's own. ERR_EXPORTED_WRITE
  void saveExported(const std::string& path, const std::optional<Inputs>& example,
                    const CancelToken& cancel) const;
  // Inputs that it can be recorded on: those with which its program was exported, or a search space was made.
  std::shared_ptr<const Inputs> example() const;
  void setExample(std::shared_ptr<const Inputs> example);

  // Names of its own methods, forward among them. ERR_CLOSED
  std::vector<std::string> methods() const;

  // Each tensor once, under its first name.
  std::vector<NamedTensor> namedParameters() const;
  std::vector<NamedTensor> namedBuffers() const;

  bool training() const;
  // The mode that calls made from now on will find.
  bool comingMode() const;
  // Announces a `train(on)` that waits for its turn, for as long as the result lives. ERR_FROZEN, ERR_CLOSED
  std::shared_ptr<void> announceMode(bool on);
  // ERR_FROZEN when switching on the training mode of a frozen module, which has none.
  void train(bool on);
  void to(c10::Device device);

  // Frees the weights as soon as no running call uses them; every later call throws ERR_CLOSED.
  void close();
  bool closed() const;

  // Hex SHA-256 over the forward graph's text (value and class names normalized), and the name, dtype, shape
  // and bytes of every parameter and buffer.
  std::string fingerprint() const;

  // Bytes of all parameters and buffers (each storage once).
  int64_t bytes() const;

  // A handle that shares everything with the wrapped module; throws ERR_CLOSED. Hold `lock()` while using it.
  torch::jit::Module jit() const;
  std::unique_lock<std::recursive_mutex> lock() const;

 private:
  struct Listing {
    std::vector<NamedTensor> parameters;
    std::vector<NamedTensor> buffers;
    int64_t bytes = 0;
  };

  void refresh(const torch::jit::Module& module);
  void requireMode(bool on) const;
  std::shared_ptr<const Listing> list() const;
  void relist() const;

  mutable std::recursive_mutex running_;  // held by whatever computes on, or changes, the module
  mutable std::mutex state_;              // held only to read or change the members below
  std::optional<torch::jit::Module> module_;
  std::shared_ptr<Evaluator> evaluator_;  // null before the first use
  std::shared_ptr<const c10::FunctionSchema> schema_;
  ExtraFiles extraFiles_;
  std::shared_ptr<const Inputs> example_;  // null where none is known
  c10::Device device_ = c10::kCPU;
  std::atomic<bool> training_ = false;
  // Whether code of the module gives attributes other values, buffers among them.
  bool reassigns_ = false;
  mutable std::shared_ptr<const Listing> listing_;
  int announced_ = 0;  // switches of the mode that wait
  bool announcedMode_ = false;
};

// Gives a module that was made from another one that one's example, or else the inputs it was analysed on.
void inheritExample(Module& made, const Module& from, const Inputs& analysed);

}  // namespace torchsearch

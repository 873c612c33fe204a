#pragma once

#include <torch/script.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/forward/forwardable.h"

namespace torchsearch {

struct NamedTensor {
  std::string name;  // dotted path, as in a PyTorch state dict
  at::Tensor tensor;
};

struct LoadOptions {
  std::optional<c10::Device> device;
  // TorchScript files are programs; operators that read or write files are refused unless this is set.
  bool allowUnsafeOperators = false;
};

// A TorchScript module. Every method may be called from any thread; calls on one module are serialized.
class Module : public Forwardable {
 public:
  explicit Module(torch::jit::Module module);

  // ERR_FILE_NOT_FOUND, ERR_FILE_READ, ERR_NOT_TORCHSCRIPT, ERR_UNSAFE_OPERATOR, ERR_DEVICE
  static std::shared_ptr<Module> load(const std::string& path, const LoadOptions& options);

  c10::IValue forward(const Inputs& inputs, const CancelToken& cancel) override;
  c10::Device device() const override;

  // Written to a temporary file beside `path` and renamed, so an earlier file survives a failure. ERR_FILE_WRITE
  void save(const std::string& path) const;

  std::vector<NamedTensor> namedParameters() const;
  std::vector<NamedTensor> namedBuffers() const;

  bool training() const;
  void train(bool on);
  void to(c10::Device device);

  // Frees the weights as soon as no running call uses them; every later call throws ERR_CLOSED.
  void close();
  bool closed() const;

  // Hex SHA-256 over the forward graph's text, and the name, dtype, shape and bytes of every parameter and buffer.
  std::string fingerprint() const;

  // Bytes of all parameters and buffers (each storage once).
  int64_t bytes() const;

  // The wrapped module; throws ERR_CLOSED. The caller holds `lock()` while it uses it.
  torch::jit::Module& jit();
  std::unique_lock<std::recursive_mutex> lock() const;

 private:
  const torch::jit::Module& open() const;

  mutable std::recursive_mutex mutex_;
  std::optional<torch::jit::Module> module_;
};

}  // namespace torchsearch

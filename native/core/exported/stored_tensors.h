#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "core/exported/exported_archive.h"
#include "core/exported/json.h"

namespace torchsearch::exported {

// Weights, buffers and constants of one program, by their dotted names. Tensors that name the same record
// share their memory, and those of the same view are one tensor.
class StoredTensors {
 public:
  // Checks every tensor against its record before any is read. ERR_EXPORTED_PROGRAM, ERR_UNSUPPORTED_EXPORT
  StoredTensors(const ExportedArchive& archive, const std::string& model);

  // Without memory until `fill`. With `requires_grad` as its metadata says. ERR_EXPORTED_PROGRAM where there
  // is none of this name.
  at::Tensor weight(const std::string& name);
  at::Tensor constant(const std::string& name);
  // Allocates the memory of those that were asked for, and reads it: once nothing else of the program is
  // refused.
  void fill();

 private:
  struct Place {
    std::string record;
    at::ScalarType type = at::kFloat;
    std::vector<int64_t> sizes;
    std::vector<int64_t> strides;
    int64_t offset = 0;
    bool requiresGrad = false;
    auto operator<=>(const Place&) const = default;
  };
  using Places = std::map<std::string, Place>;

  Places readConfig(const std::string& folder, const std::string& config) const;
  Place readPlace(const std::string& folder, const std::string& name, const Json& payload) const;
  at::Tensor load(const Places& places, const std::string& name);

  const ExportedArchive& archive_;
  Places weights_;
  Places constants_;
  std::map<std::string, at::Storage> storages_;
  std::map<Place, at::Tensor> tensors_;
};

}  // namespace torchsearch::exported

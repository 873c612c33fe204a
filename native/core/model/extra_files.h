#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace torchsearch {

class ModelArchive;

// Files in a TorchScript archive beside the model, as `torch.jit.save(…, _extra_files)` writes them: bytes by
// name. Large ones stay in their archive, which is kept open, until they are asked for.
class ExtraFiles {
 public:
  ExtraFiles() = default;
  explicit ExtraFiles(std::shared_ptr<const ModelArchive> archive);

  std::optional<std::string> get(const std::string& name) const;
  void set(const std::string& name, std::string bytes);
  std::map<std::string, std::string> all() const;

 private:
  std::map<std::string, std::string> held_;
  std::shared_ptr<const ModelArchive> archive_;  // null where all of its files are held
};

}  // namespace torchsearch

#include "core/model/extra_files.h"

#include "core/archive/model_archive.h"

namespace torchsearch {
namespace {

constexpr uint64_t kHeldBytes = uint64_t{1} << 20;

}  // namespace

ExtraFiles::ExtraFiles(std::shared_ptr<const ModelArchive> archive) : archive_(std::move(archive)) {
  uint64_t bytes = 0;
  for (const auto& [name, size] : archive_->extraFiles()) bytes += size;
  if (bytes > kHeldBytes) return;
  for (const auto& [name, size] : archive_->extraFiles()) held_.emplace(name, archive_->extraFile(name));
  archive_.reset();
}

std::optional<std::string> ExtraFiles::get(const std::string& name) const {
  const auto found = held_.find(name);
  if (found != held_.end()) return found->second;
  if (archive_ == nullptr || archive_->extraFiles().count(name) == 0) return std::nullopt;
  return archive_->extraFile(name);
}

void ExtraFiles::set(const std::string& name, std::string bytes) {
  held_[name] = std::move(bytes);
}

std::map<std::string, std::string> ExtraFiles::all() const {
  std::map<std::string, std::string> files = held_;
  if (archive_ == nullptr) return files;
  for (const auto& [name, size] : archive_->extraFiles()) {
    if (files.count(name) == 0) files.emplace(name, archive_->extraFile(name));
  }
  return files;
}

}  // namespace torchsearch

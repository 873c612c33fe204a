#include "core/exported/exported_archive.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>

#include "core/archive/record_sum.h"
#include "core/base/error.h"
#include "core/exported/json.h"

namespace torchsearch {

using exported::refuseFeature;
using exported::refuseProgram;

namespace {

constexpr std::string_view kModels = "models/";
constexpr std::string_view kJson = ".json";
constexpr std::string_view kFormat = "archive_format";
constexpr std::string_view kOldProgram = "serialized_exported_program.json";

std::string withoutFolder(const std::string& name) {
  const size_t slash = name.find('/');
  return slash == std::string::npos ? name : name.substr(slash + 1);
}

bool isProgram(std::string_view record) {
  return record.starts_with(kModels) && record.ends_with(kJson);
}

}  // namespace

bool ExportedArchive::recognizes(const FileView& file) {
  std::array<char, 4> magic{};
  if (file.size() < magic.size()) return false;
  file.read(0, magic.data(), magic.size());
  if (std::string_view(magic.data(), magic.size()) != std::string_view("PK\3\4")) return false;
  try {
    const std::vector<ZipEntry> entries = readZipDirectory(file);
    return std::any_of(entries.begin(), entries.end(), [](const ZipEntry& entry) {
      const std::string record = withoutFolder(entry.name);
      return record == kFormat || isProgram(record) || record == kOldProgram || entry.name == kOldProgram;
    });
  } catch (const Error&) {
    // A file that was cut off has no directory; what it begins with tells what it was.
    std::string head(std::min<size_t>(file.size(), 256), '\0');
    file.read(0, head.data(), head.size());
    return head.find("/data/weights/") != std::string::npos ||
           head.find("/data/constants/") != std::string::npos || head.find("/models/") != std::string::npos;
  }
}

ExportedArchive::ExportedArchive(std::shared_ptr<FileView> file, std::optional<uint64_t> maxBytes,
                                 bool verify)
    : file_(std::move(file)) {
  std::vector<ZipEntry> entries;
  try {
    entries = readZipDirectory(*file_);
  } catch (const Error& error) {
    refuseProgram(error.what());
  }
  std::string root;
  uint64_t sum = 0;
  for (ZipEntry& entry : entries) {
    if (entry.name == kOldProgram || withoutFolder(entry.name) == kOldProgram) {
      refuseFeature("the file format of a PyTorch before 2.9",
                    "load it in the PyTorch that wrote it, and export the model again with 2.9 or newer.");
    }
    if (entry.deflated) refuseProgram("record \"" + entry.name + "\" is compressed");
    const size_t slash = entry.name.find('/');
    if (slash == std::string::npos) refuseProgram("record \"" + entry.name + "\" is in no folder");
    if (root.empty()) root = entry.name.substr(0, slash + 1);
    if (!entry.name.starts_with(root)) refuseProgram("its records are in several folders");
    entry.name.erase(0, root.size());
    sum += std::min(entry.size, uint64_t{1} << 60);
    if (maxBytes && sum > *maxBytes) {
      throw Error("ERR_MODEL_TOO_LARGE", "\"" + file_->path() + "\" has more than " +
                                             std::to_string(*maxBytes) +
                                             " bytes, unpacked; raise maxModelBytes to load it.");
    }
    const std::string name = entry.name;
    if (!entries_.emplace(name, std::move(entry)).second)
      refuseProgram("record \"" + name + "\" is there twice");
  }
  checkNames();
  if (verify) checkSums();
}

void ExportedArchive::checkNames() {
  std::set<std::string> folded;
  for (const auto& [name, entry] : entries_) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!folded.insert(lower).second) refuseProgram("record \"" + name + "\" can be taken for another");
  }
  if (models().empty()) {
    for (const auto& [name, entry] : entries_) {
      if (!name.starts_with("data/aotinductor/")) continue;
      refuseFeature("compiled code (AOTInductor) and no graph",
                    "save the program itself with torch.export.save(ep, path).");
    }
    refuseProgram("it holds no program");
  }
  if (sizeOf("byteorder") && text("byteorder") != "little") {
    refuseFeature("numbers in the byte order of another processor", "save it on a little-endian machine.");
  }
}

void ExportedArchive::checkSums() const {
  for (const auto& [name, entry] : entries_) {
    if (sumOfStored(*file_, entry) != entry.crc) {
      throw Error("ERR_EXPORTED_PROGRAM",
                  "Record \"" + name + "\" of \"" + file_->path() +
                      "\" does not match its checksum: the file was damaged after it was written; copy it "
                      "again, or load it with verify: false.");
    }
  }
}

std::vector<std::string> ExportedArchive::models() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (isProgram(name))
      names.push_back(name.substr(kModels.size(), name.size() - kModels.size() - kJson.size()));
  }
  return names;
}

std::optional<uint64_t> ExportedArchive::sizeOf(const std::string& record) const {
  const auto found = entries_.find(record);
  if (found == entries_.end()) return std::nullopt;
  return found->second.size;
}

const ZipEntry& ExportedArchive::entry(const std::string& record) const {
  const auto found = entries_.find(record);
  if (found == entries_.end()) refuseProgram("record \"" + record + "\" is missing");
  return found->second;
}

std::string ExportedArchive::text(const std::string& record) const {
  const ZipEntry& found = entry(record);
  std::string bytes(found.size, '\0');
  file_->read(found.dataOffset, bytes.data(), bytes.size());
  return bytes;
}

std::map<std::string, std::string> ExportedArchive::extraFiles() const {
  constexpr std::string_view kFolder = "extra/";
  constexpr uint64_t kMostBytes = uint64_t{1} << 20;
  std::map<std::string, std::string> files;
  for (const auto& [name, entry] : entries_) {
    if (name.starts_with(kFolder) && entry.size <= kMostBytes)
      files.emplace(name.substr(kFolder.size()), text(name));
  }
  return files;
}

FileView ExportedArchive::window(const std::string& record) const {
  const ZipEntry& found = entry(record);
  return {*file_, found.dataOffset, found.size};
}

at::Storage ExportedArchive::storage(const std::string& record) const {
  return {at::Storage::use_byte_size_t(), entry(record).size, at::DataPtr(nullptr, at::kCPU),
          at::getCPUAllocator(), /*resizable=*/false};
}

void ExportedArchive::fill(const std::string& record, at::Storage& storage) const {
  const ZipEntry& found = entry(record);
  storage.set_data_ptr_noswap(at::getCPUAllocator()->allocate(found.size));
  file_->read(found.dataOffset, storage.mutable_data(), found.size);
}

}  // namespace torchsearch

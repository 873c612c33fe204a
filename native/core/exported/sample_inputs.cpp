#include "core/exported/sample_inputs.h"

#include <torch/csrc/jit/serialization/pickle.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "core/archive/pickle_check.h"
#include "core/base/error.h"
#include "core/exported/exported_program.h"

namespace torchsearch {
namespace {

// The records of an archive within the archive, without its folder's name.
std::map<std::string, ZipEntry> innerRecords(const FileView& file) {
  std::map<std::string, ZipEntry> records;
  std::set<std::string> folded;
  for (ZipEntry& entry : readZipDirectory(file)) {
    const size_t slash = entry.name.find('/');
    std::string name = slash == std::string::npos ? entry.name : entry.name.substr(slash + 1);
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    // LibTorch ignores case.
    if (entry.deflated || !folded.insert(lower).second) return {};
    records.emplace(std::move(name), std::move(entry));
  }
  return records;
}

// Whether LibTorch may read it: tensors, numbers and texts in containers, of which nothing lies.
bool isPlain(const FileView& file) {
  const std::map<std::string, ZipEntry> records = innerRecords(file);
  const auto pickle = records.find("data.pkl");
  if (pickle == records.end()) return false;
  std::string bytes(pickle->second.size, '\0');
  file.read(pickle->second.dataOffset, bytes.data(), bytes.size());
  PickleLimits limits;
  limits.allowsClass = [](const std::string&) { return false; };
  limits.storageSize = [&](const std::string& key) -> std::optional<uint64_t> {
    const auto found = records.find("data/" + key);
    if (found == records.end()) return std::nullopt;
    return found->second.size;
  };
  const PickledTree tree = checkPickle(bytes, "sample_inputs", limits);
  return tree.values[tree.root].kind == PickledKind::kTuple;
}

}  // namespace

std::optional<Inputs> readSampleInputs(const ExportedArchive& archive,
                                       const std::optional<std::string>& model) {
  const std::string record = "data/sample_inputs/" + chosenProgram(archive, model) + ".pt";
  if (!archive.sizeOf(record)) return std::nullopt;
  c10::IValue value;
  try {
    if (!isPlain(archive.window(record))) return std::nullopt;
    const std::string bytes = archive.text(record);
    value = torch::jit::pickle_load(std::vector<char>(bytes.begin(), bytes.end()));
  } catch (const std::exception&) {
    return std::nullopt;  // inputs of other kinds: the caller describes its own
  }
  if (!value.isTuple() || value.toTupleRef().elements().size() != 2) return std::nullopt;
  const c10::IValue args = value.toTupleRef().elements()[0];
  const c10::IValue kwargs = value.toTupleRef().elements()[1];
  if (!args.isTuple() || !kwargs.isGenericDict()) return std::nullopt;
  Inputs inputs;
  inputs.args = args.toTupleRef().elements().vec();
  for (const auto& item : kwargs.toGenericDict()) {
    if (!item.key().isString()) return std::nullopt;
    inputs.kwargs.emplace(item.key().toStringRef(), item.value());
  }
  return inputs;
}

}  // namespace torchsearch

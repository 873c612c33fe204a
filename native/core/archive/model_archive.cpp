#include "core/archive/model_archive.h"

#include <torch/csrc/jit/serialization/import_read.h>
#include <torch/csrc/jit/serialization/import_source.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "core/archive/crc32.h"
#include "core/archive/debug_check.h"
#include "core/archive/operator_policy.h"
#include "core/archive/pickle_check.h"
#include "core/archive/record_sum.h"
#include "core/archive/source_check.h"
#include "core/base/error.h"
#include "core/base/failure.h"

namespace torchsearch {
namespace {

constexpr std::string_view kExtra = "extra/";
constexpr std::string_view kCode = "code/";
constexpr std::string_view kPython = ".py";
constexpr uint64_t kTightRatio = 100;
constexpr uint64_t kTightBytes = uint64_t{64} << 20;
constexpr size_t kMaxFunctions = 10000;

// Where LibTorch looks, by names that it compares without case.
constexpr std::array<std::string_view, 8> kKnownFolders{"code/",  "constants/",  "data/",     "extra/",
                                                        ".data/", "attributes/", "bytecode/", "tensors/"};
constexpr std::array<std::string_view, 7> kKnownRecords{
    "data.pkl", "constants.pkl", "version", "byteorder", "bytecode.pkl", "attributes.pkl", "model.json"};

std::string lowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

[[noreturn]] void notATorchScriptFile(const std::string& path, const std::string& why) {
  throw Error("ERR_NOT_TORCHSCRIPT",
              "\"" + path + "\" is not a TorchScript file: " + why +
                  "; save the model with torch.jit.save(torch.jit.script(model), path).");
}

[[noreturn]] void refuseArchive(const std::string& path, const std::string& why) {
  throw Error("ERR_NOT_TORCHSCRIPT",
              "The archive \"" + path + "\" is damaged or hostile: " + why + "; save the model again.");
}

void checkMagic(const FileView& file) {
  if (file.size() == 0) notATorchScriptFile(file.path(), "it is empty");
  std::array<char, 8> magic{};
  file.read(0, magic.data(), std::min(file.size(), magic.size()));
  const bool zip = magic[0] == 'P' && magic[1] == 'K' && magic[2] == 3 && magic[3] == 4;
  if (!zip)
    notATorchScriptFile(file.path(),
                        "it is not a zip archive (an old or plain torch.save, or something else)");
  // LibTorch takes a file with this mark for a flatbuffer, whatever it begins with.
  if (std::string_view(&magic[4], 4) == "PTMF") notATorchScriptFile(file.path(), "it is a flatbuffer");
}

// "code/__torch__/a/b.py" holds the module "__torch__.a.b".
std::string qualifierOf(std::string_view record) {
  record.remove_prefix(kCode.size());
  record.remove_suffix(kPython.size());
  std::string qualifier(record);
  std::replace(qualifier.begin(), qualifier.end(), '/', '.');
  return qualifier;
}

}  // namespace

void requireAllowed(const std::string& path, const torch::jit::CompilationUnit& unit,
                    const std::set<std::string>& permitted) {
  std::string list;
  for (const std::string& name : refusedNames(unit, permitted))
    list += (list.empty() ? "\"" : ", \"") + name + "\"";
  if (list.empty()) return;
  throw Error(
      "ERR_UNSAFE_OPERATOR",
      "\"" + path + "\" names " + list +
          ", which could read or write files, print, or crash the process; if you trust the file, load it "
          "with allowUnsafe: [" +
          list + "].");
}

ModelArchive::ModelArchive(const std::string& path, const ArchiveLimits& limits)
    : file_(std::make_shared<FileView>(path)) {
  checkMagic(*file_);
  entries_ = readZipDirectory(*file_);
  checkNames();
  checkSizes(limits);
  try {
    reader_ = std::make_shared<caffe2::serialize::PyTorchStreamReader>(file_);
  } catch (const Error&) {
    throw;
  } catch (...) {
    refuseArchive(path, describeFailure(std::current_exception(), "").message);
  }
  if (limits.verify) checkSums();
  checkPickles(limits);
  checkCode(limits);
}

void ModelArchive::checkNames() {
  const std::string& path = file_->path();
  if (entries_.empty()) notATorchScriptFile(path, "its archive is empty");
  const size_t slash = entries_.front().name.find('/');
  if (slash == std::string::npos) notATorchScriptFile(path, "its archive has no folder");
  const std::string root = entries_.front().name.substr(0, slash + 1);
  std::set<std::string> lower;
  bool hasCode = false;
  for (ZipEntry& entry : entries_) {
    if (!entry.name.starts_with(root)) {
      refuseArchive(path, "record \"" + entry.name + "\" is not in the archive's folder \"" + root + "\"");
    }
    entry.name.erase(0, root.size());
    places_.emplace(entry.name, places_.size());
    const std::string folded = lowerCase(entry.name);
    if (!lower.insert(folded).second) refuseArchive(path, "record \"" + entry.name + "\" is there twice");
    for (const std::string_view folder : kKnownFolders) {
      if (folded.starts_with(folder) && !entry.name.starts_with(folder)) {
        refuseArchive(
            path, "record \"" + entry.name + "\" can be taken for one in \"" + std::string(folder) + "\"");
      }
    }
    for (const std::string_view record : kKnownRecords) {
      if (folded == record && entry.name != record) {
        refuseArchive(path, "record \"" + entry.name + "\" can be taken for \"" + std::string(record) + "\"");
      }
    }
    if (folded.starts_with(kCode) && folded.ends_with(kPython)) {
      if (!entry.name.ends_with(kPython)) {
        refuseArchive(path, "record \"" + entry.name + "\" can be taken for a source of another name");
      }
      hasCode = true;
    }
  }
  if (find("model.json") != nullptr) {
    notATorchScriptFile(path,
                        "it is of a format from before PyTorch 1.4; load it in PyTorch and save it again");
  }
  if (!hasCode) {
    notATorchScriptFile(
        path, find("data.pkl") != nullptr
                  ? "it holds tensors or a state dict written by torch.save, without the model's code"
                  : "its archive holds no code");
  }
  for (const char* needed : {"data.pkl", "constants.pkl", "version"}) {
    const bool isHidden = std::string_view(needed) == "version" && find(".data/version") != nullptr;
    if (find(needed) == nullptr && !isHidden)
      notATorchScriptFile(path, "its archive has no record \"" + std::string(needed) + "\"");
  }
}

void ModelArchive::checkSizes(const ArchiveLimits& limits) const {
  uint64_t sum = 0;
  uint64_t unpacked = 0;
  uint64_t packed = 0;
  for (const ZipEntry& entry : entries_) {
    const uint64_t size = std::min(entry.size, uint64_t{1} << 60);
    if (size > (uint64_t{1} << 62) - sum) refuseArchive(file_->path(), "its sizes are impossible");
    sum += size;
    if (entry.deflated) {
      unpacked += size;
      packed += entry.compressedSize;
    }
    // Many records may do together what one does.
    if (!limits.maxBytes && unpacked > kTightBytes && unpacked / kTightRatio > packed) {
      throw Error(
          "ERR_MODEL_TOO_LARGE",
          "The records of \"" + file_->path() + "\" up to \"" + entry.name + "\" unpack " +
              std::to_string(packed) + " bytes to " + std::to_string(unpacked) +
              ", as no model's do; if you trust the file, load it with a maxModelBytes that allows it.");
    }
    if (limits.maxBytes && sum > *limits.maxBytes) {
      throw Error("ERR_MODEL_TOO_LARGE", "\"" + file_->path() + "\" has more than " +
                                             std::to_string(*limits.maxBytes) +
                                             " bytes, unpacked; raise maxModelBytes to load it.");
    }
  }
}

void ModelArchive::checkSums() const {
  for (const ZipEntry& entry : entries_) {
    uint32_t sum = 0;
    if (entry.deflated) {
      const std::string unpacked = text(entry);
      sum = crc32(unpacked.data(), unpacked.size());
    } else {
      sum = sumOfStored(*file_, entry);
    }
    // What PyTorch writes in parts may have no sum.
    if (sum != entry.crc) {
      throw Error("ERR_NOT_TORCHSCRIPT",
                  "Record \"" + entry.name + "\" of \"" + file_->path() +
                      "\" does not match its checksum: the file was damaged after it was "
                      "written; copy it again, or load it with verify: false.");
    }
  }
}

void ModelArchive::checkPickles(const ArchiveLimits& limits) const {
  PickleLimits pickles;
  pickles.storageBytes = 0;
  for (const ZipEntry& entry : entries_) pickles.storageBytes += entry.size;
  pickles.allowsClass = [&](const std::string& name) {
    return isAllowedClass(name) || limits.permitted.count(name) > 0;
  };
  for (const ZipEntry& entry : entries_) {
    const bool isDebug = entry.name.starts_with(kCode) && entry.name.ends_with(".debug_pkl");
    const bool isModel = entry.name == "data.pkl" || entry.name == "constants.pkl";
    if (!isDebug && !isModel) continue;
    const std::string folder = entry.name == "data.pkl" ? "data/" : "constants/";
    pickles.storageSize = [&, isDebug](const std::string& key) -> std::optional<uint64_t> {
      const ZipEntry* record = isDebug ? nullptr : find(folder + key);
      return record == nullptr ? std::nullopt : std::optional<uint64_t>(record->size);
    };
    const PickledTree tree = checkPickle(text(entry), entry.name, pickles);
    if (isDebug) checkDebugPickle(tree, entry.name);
  }
}

std::map<std::string, std::string> ModelArchive::sources() const {
  std::map<std::string, std::string> found;
  for (const ZipEntry& entry : entries_) {
    if (entry.name.starts_with(kCode) && entry.name.ends_with(kPython)) {
      found.emplace(qualifierOf(entry.name), text(entry));
    }
  }
  return found;
}

void ModelArchive::checkCode(const ArchiveLimits& limits) const {
  const std::map<std::string, std::string> texts = sources();
  std::vector<std::string> classes;
  bool setsState = false;
  size_t functions = 0;
  for (const auto& [qualifier, text] : texts) {
    const SourceContents contents = checkSource(text, qualifier, qualifier);
    classes.insert(classes.end(), contents.classes.begin(), contents.classes.end());
    setsState = setsState || contents.setsState;
    functions += contents.functions;
  }
  // LibTorch compiles a function when it meets the first call of it, within the caller.
  if (functions > kMaxFunctions)
    refuseArchive(file_->path(),
                  "its code has " + std::to_string(functions) + " functions, more than any model's");
  if (!setsState) return;
  // Loading runs `__setstate__`; so all that it could reach is compiled first, aside, and looked at.
  // Compiling runs nothing, now that defaults are literals.
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  std::vector<c10::IValue> constants;
  torch::jit::SourceImporter importer(
      unit, &constants,
      [&](const std::string& qualifier) -> std::shared_ptr<torch::jit::Source> {
        const auto found = texts.find(qualifier);
        if (found == texts.end()) return nullptr;
        return std::make_shared<torch::jit::Source>(found->second, qualifier, 1);
      },
      reader_->version());
  try {
    const auto resolveType = [&](const c10::QualifiedName& name) {
      return c10::StrongTypePtr(unit, importer.loadType(name));
    };
    const auto makeObject = [&](const at::StrongTypePtr& type,
                                const c10::IValue& state) -> c10::intrusive_ptr<c10::ivalue::Object> {
      const auto cls = type.type_->expect<c10::ClassType>();
      const std::string name = cls->name() ? cls->name()->qualifiedName() : "";
      if (!name.starts_with("__torch__.torch.classes.")) {
        refuseArchive(file_->path(), "a constant is an object of the file's own class \"" + name + "\"");
      }
      auto object = c10::ivalue::Object::create(type, cls->numAttributes());
      cls->getMethod("__setstate__")({object, state});
      return object;
    };
    const c10::IValue table = torch::jit::readArchiveAndTensors("constants", "", "", resolveType, makeObject,
                                                                c10::Device(c10::kCPU), *reader_);
    for (const c10::IValue& constant : table.toTupleRef().elements()) constants.push_back(constant);
    for (const std::string& name : classes) importer.loadType(c10::QualifiedName(name));
  } catch (const Error&) {
    throw;
  } catch (...) {
    const Failure failure = describeFailure(std::current_exception(), "ERR_NOT_TORCHSCRIPT");
    throw Error(failure.code, failure.message);
  }
  requireAllowed(file_->path(), *unit, limits.permitted);
}

std::map<std::string, uint64_t> ModelArchive::extraFiles() const {
  std::map<std::string, uint64_t> found;
  for (const ZipEntry& entry : entries_) {
    if (entry.name.starts_with(kExtra)) found.emplace(entry.name.substr(kExtra.size()), entry.size);
  }
  return found;
}

std::string ModelArchive::extraFile(const std::string& name) const {
  const ZipEntry* entry = find(std::string(kExtra) + name);
  return entry == nullptr ? "" : text(*entry);
}

const ZipEntry* ModelArchive::find(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &entries_[found->second];
}

std::string ModelArchive::text(const ZipEntry& entry) const {
  try {
    const auto [data, size] = reader_->getRecord(entry.name);
    return {static_cast<const char*>(data.get()), size};
  } catch (const Error&) {
    throw;
  } catch (...) {
    refuseArchive(file_->path(), "record \"" + entry.name + "\" cannot be unpacked");
  }
}

}  // namespace torchsearch

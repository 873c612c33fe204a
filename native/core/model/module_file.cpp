#include "core/model/module_file.h"

#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>

#include "core/archive/model_archive.h"
#include "core/base/atomic_file.h"
#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/exported/exported_program.h"
#include "core/exported/sample_inputs.h"
#include "core/model/growable_storages.h"
#include "core/model/recurrent_checks.h"
#include "core/model/torchvision_operators.h"
#include "core/model/zip_output.h"

namespace torchsearch {
namespace {

// What stands between `before` and `after` in a message of LibTorch's, or nothing.
std::string quoted(const std::string& message, const std::string& before, const std::string& after) {
  const size_t begin = message.find(before);
  if (begin == std::string::npos) return "";
  const size_t from = begin + before.size();
  return message.substr(from, message.find_first_of(after, from) - from);
}

// A sound file that names what only another library defines.
void refuseUnknownNames(const std::string& path, const std::string& message) {
  constexpr const char* kAdvice =
      ", which LibTorch does not have: a library of the model's own defines it. Replace it by what PyTorch "
      "itself offers, and save the model again.";
  const std::string name = quoted(message, "Unknown builtin op: ", ".\n ");
  if (!name.empty()) {
    throw Error("ERR_UNKNOWN_OPERATOR", "\"" + path + "\" uses the operator '" + name + "'" + kAdvice);
  }
  const std::string type = quoted(message, "Unknown type name '__torch__.torch.classes.", "'");
  if (!type.empty()) {
    throw Error("ERR_UNKNOWN_CLASS", "\"" + path + "\" uses the custom class '" + type + "'" + kAdvice);
  }
}

// A slot whose value is of another kind than its class says: code that was compiled for the class would take
// it for what it is not.
void requireTypes(const std::string& path, const c10::IValue& value, const c10::TypePtr& type,
                  const std::string& name) {
  const bool fits = (type->kind() != c10::TypeKind::TensorType || value.isTensor()) &&
                    (type->kind() != c10::TypeKind::IntType || value.isInt()) &&
                    (type->kind() != c10::TypeKind::FloatType || value.isDouble()) &&
                    (type->kind() != c10::TypeKind::BoolType || value.isBool()) &&
                    (type->kind() != c10::TypeKind::StringType || value.isString());
  if (!fits) {
    throw Error("ERR_NOT_TORCHSCRIPT", "The archive \"" + path + "\" is damaged or hostile: its \"" + name +
                                           "\" is not the " + type->annotation_str() +
                                           " that its class says; save the model again.");
  }
}

void requireTypes(const std::string& path, const torch::jit::Module& module) {
  for (const auto& named : module.named_modules()) {
    const auto object = named.value._ivalue();
    const auto cls = object->type();
    for (size_t i = 0; i < cls->numAttributes(); ++i) {
      const std::string prefix = named.name.empty() ? "" : named.name + ".";
      requireTypes(path, object->getSlot(i), cls->getAttribute(i), prefix + cls->getAttributeName(i));
    }
  }
}

ModuleFile readExported(std::shared_ptr<FileView> file, const LoadOptions& options) {
  try {
    const ExportedArchive archive(std::move(file), options.maxModelBytes, options.verify);
    ExtraFiles extraFiles;
    for (auto& [name, bytes] : archive.extraFiles()) extraFiles.set(name, std::move(bytes));
    return {readExportedProgram(archive, options.model, options.device), std::move(extraFiles),
            readSampleInputs(archive, options.model)};
  } catch (const Error&) {
    throw;
  } catch (...) {
    const Failure failure = describeFailure(std::current_exception(), "ERR_EXPORTED_PROGRAM");
    if (failure.code != "ERR_EXPORTED_PROGRAM") throw Error(failure.code, failure.message);
    throw Error("ERR_EXPORTED_PROGRAM",
                "The exported program is damaged, or not written by torch.export.save (" + failure.message +
                    "); save it again with torch.export.save(ep, path).");
  }
}

}  // namespace

ModuleFile readModuleFile(const std::string& path, const LoadOptions& options) {
  registerTorchvisionOperators();
  checkRecurrentCalls();
  auto file = std::make_shared<FileView>(path);
  if (ExportedArchive::recognizes(*file)) {
    ModuleFile read = readExported(std::move(file), options);
    requireAllowed(path, *read.module._ivalue()->compilation_unit(), options.allowUnsafe);
    makeStoragesGrowable(read.module);
    return read;
  }
  if (options.model) {
    throw Error("ERR_MODEL_NAME", "\"" + path +
                                      "\" holds one model, without a name: it is no exported program. "
                                      "Leave out the option `model`.");
  }
  const ArchiveLimits limits{options.maxModelBytes, options.verify, options.allowUnsafe};
  std::shared_ptr<const ModelArchive> archive;
  std::optional<torch::jit::Module> module;
  try {
    archive = std::make_shared<const ModelArchive>(path, limits);
    module = torch::jit::load(archive->file(), options.device);
  } catch (const Error& error) {
    refuseUnknownNames(path, error.what());
    throw;
  } catch (...) {
    const Failure failure = describeFailure(std::current_exception(), "ERR_NOT_TORCHSCRIPT");
    if (failure.code != "ERR_NOT_TORCHSCRIPT") throw Error(failure.code, failure.message);
    refuseUnknownNames(path, failure.message);
    throw Error("ERR_NOT_TORCHSCRIPT",
                "\"" + path + "\" is not a TorchScript file: LibTorch cannot load it (" + failure.message +
                    "); save the model with torch.jit.save(torch.jit.script(model), path).");
  }
  requireAllowed(path, *module->_ivalue()->compilation_unit(), options.allowUnsafe);
  requireTypes(path, *module);
  makeStoragesGrowable(*module);
  return {*module, ExtraFiles(archive), std::nullopt};
}

std::optional<Inputs> readSampleInputs(const std::string& path, const LoadOptions& options) {
  auto file = std::make_shared<FileView>(path);
  if (!ExportedArchive::recognizes(*file)) return std::nullopt;
  const ExportedArchive archive(std::move(file), options.maxModelBytes, options.verify);
  return readSampleInputs(archive, options.model);
}

void writeModuleFile(const torch::jit::Module& module, const ExtraFiles& extraFiles,
                     const std::string& path) {
  const std::map<std::string, std::string> files = extraFiles.all();
  AtomicFile file(path);
  // LibTorch marks in the file what it finds referenced elsewhere, too: a module that was evaluated, whose
  // prepared run holds its weights, would get other bytes than an equal one. So everything is referenced once
  // more.
  std::vector<c10::IValue> references;
  for (const c10::IValue& attribute : module.attributes()) references.push_back(attribute);
  writeArchiveInto(
      file, [&](auto write) { torch::jit::ExportModule(module, write, {files.begin(), files.end()}); });
  file.commit();
}

}  // namespace torchsearch

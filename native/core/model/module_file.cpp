#include "core/model/module_file.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "core/base/atomic_file.h"
#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/model/torchvision_operators.h"
#include "core/model/unsafe_operators.h"

namespace torchsearch {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void notTorchScript(const std::string& path, const std::string& why) {
  throw Error("ERR_NOT_TORCHSCRIPT",
              "\"" + path + "\" is not a TorchScript file: " + why +
                  "; save the model with torch.jit.save(torch.jit.script(model), path).");
}

void checkReadable(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    throw Error("ERR_FILE_NOT_FOUND", "There is no file \"" + path + "\"; check the path.");
  }
  if (fs::is_directory(status)) {
    throw Error("ERR_FILE_READ",
                "\"" + path + "\" is a folder, not a TorchScript file; give the path of a file.");
  }
  std::ifstream file(path, std::ios::binary);
  std::array<char, 4> magic{};
  if (!file) {
    throw Error("ERR_FILE_READ",
                "Cannot read \"" + path + "\" (" + std::generic_category().message(errno) + ").");
  }
  file.read(magic.data(), magic.size());
  if (file.gcount() == 0) notTorchScript(path, "it is empty");
  if (file.gcount() < 4 || magic != std::array<char, 4>{'P', 'K', 3, 4}) {
    notTorchScript(path, "it is not a zip archive (an old or plain torch.save, or something else)");
  }
}

std::string readExtraFile(caffe2::serialize::PyTorchStreamReader& reader, const std::string& record) {
  try {
    const auto [data, size] = reader.getRecord(record);
    return {static_cast<const char*>(data.get()), size};
  } catch (const std::exception&) {
    return "";
  }
}

struct Archive {
  std::vector<std::string> sources;
  ExtraFiles extraFiles;
};

// The file's source code, and what stands beside the model; tells archives without any code apart.
Archive readArchive(const std::string& path) {
  constexpr std::string_view kExtra = "extra/";
  Archive archive;
  auto& [sources, extraFiles] = archive;
  bool hasPickle = false;
  try {
    caffe2::serialize::PyTorchStreamReader reader(path);
    for (const std::string& name : reader.getAllRecords()) {
      hasPickle = hasPickle || name == "data.pkl";
      if (name.starts_with("code/") && name.ends_with(".py")) {
        const auto [data, size] = reader.getRecord(name);
        sources.emplace_back(static_cast<const char*>(data.get()), size);
      } else if (name.starts_with(kExtra)) {
        extraFiles.emplace(name.substr(kExtra.size()), readExtraFile(reader, name));
      }
    }
  } catch (const std::exception&) {
    notTorchScript(path, "its archive is damaged or truncated (" +
                             describeFailure(std::current_exception(), "").message + ")");
  }
  if (sources.empty()) {
    notTorchScript(
        path, hasPickle ? "it holds tensors or a state dict written by torch.save, without the model's code"
                        : "its archive holds no code");
  }
  return archive;
}

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

[[noreturn]] void refuse(const std::string& path, const std::string& operators) {
  throw Error("ERR_UNSAFE_OPERATOR", "\"" + path + "\" uses " + operators +
                                         ", which can read or write files when the model runs; if you trust "
                                         "the file, load it with allowUnsafeOperators: true.");
}

}  // namespace

ModuleFile readModuleFile(const std::string& path, const LoadOptions& options) {
  checkReadable(path);
  auto [sources, extraFiles] = readArchive(path);
  if (!options.allowUnsafeOperators && mayRunUnsafeOperatorsOnLoad(sources)) {
    refuse(path, "code that runs while loading and names aten::save or aten::from_file");
  }
  std::optional<torch::jit::Module> module;
  try {
    registerTorchvisionOperators();
    module = torch::jit::load(path, options.device);
  } catch (...) {
    const Failure failure = describeFailure(std::current_exception(), "ERR_NOT_TORCHSCRIPT");
    if (failure.code != "ERR_NOT_TORCHSCRIPT") throw Error(failure.code, failure.message);
    refuseUnknownNames(path, failure.message);
    notTorchScript(path, "LibTorch cannot load it (" + failure.message + ")");
  }
  if (!options.allowUnsafeOperators) {
    std::string names;
    for (const std::string& name : unsafeOperators(*module)) names += (names.empty() ? "" : ", ") + name;
    if (!names.empty()) refuse(path, names);
  }
  return {*module, std::move(extraFiles)};
}

void writeModuleFile(const torch::jit::Module& module, const ExtraFiles& extraFiles,
                     const std::string& path) {
  AtomicFile file(path);
  // LibTorch marks in the file what it finds referenced elsewhere, too: a module that was evaluated, whose
  // prepared run holds its weights, would get other bytes than an equal one. So everything is referenced once
  // more.
  std::vector<c10::IValue> references;
  for (const c10::IValue& attribute : module.attributes()) references.push_back(attribute);
  // LibTorch's zip writer ends the process when a write fails, as it tries to finish the archive in a
  // destructor. So a failure is kept, the writer goes on into the void, and the failure is thrown afterwards.
  std::exception_ptr failed;
  withFailureCode("ERR_FILE_WRITE", [&] {
    const auto write = [&](const void* data, size_t size) {
      if (failed) return size;
      try {
        file.write(data, size);
      } catch (...) {
        failed = std::current_exception();
      }
      return size;
    };
    torch::jit::ExportModule(module, write, {extraFiles.begin(), extraFiles.end()});
  });
  if (failed) std::rethrow_exception(failed);
  file.commit();
}

}  // namespace torchsearch

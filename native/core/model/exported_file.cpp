#include "core/model/exported_file.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "core/archive/file_view.h"
#include "core/base/atomic_file.h"
#include "core/base/error.h"
#include "core/base/failure.h"
#include "core/exported/exported_program.h"
#include "core/exported/write/program_writer.h"
#include "core/exported/write/written_call.h"
#include "core/forward/agreement.h"
#include "core/graph/recorder.h"
#include "core/model/zip_output.h"

namespace torchsearch {
namespace {

void collectLeaves(const c10::IValue& value, std::vector<c10::IValue>& leaves) {
  if (value.isTuple()) {
    for (const auto& item : value.toTupleRef().elements()) collectLeaves(item, leaves);
  } else if (value.isList()) {
    for (const c10::IValue& item : value.toListRef()) collectLeaves(item, leaves);
  } else if (value.isGenericDict()) {
    for (const auto& item : value.toGenericDict()) collectLeaves(item.value(), leaves);
  } else {
    leaves.push_back(value);
  }
}

bool sameOutput(const c10::IValue& actual, const c10::IValue& expected) {
  std::vector<c10::IValue> own;
  std::vector<c10::IValue> others;
  collectLeaves(actual, own);
  collectLeaves(expected, others);
  return std::equal(
      own.begin(), own.end(), others.begin(), others.end(), [](const c10::IValue& a, const c10::IValue& b) {
        if (!a.isTensor() || !b.isTensor() || !a.toTensor().defined() || !b.toTensor().defined())
          return exported::sameConstant(a, b);
        return agrees(a.toTensor(), b.toTensor());
      });
}

c10::IValue outputOf(const torch::jit::Module& module, const std::vector<c10::IValue>& arguments,
                     const CancelToken& cancel) {
  const auto graph = InlinedGraph::copyOf(module, InlinedGraph::FusedAttention::kKeep);
  return record(graph, copied(Inputs{arguments, {}}), RecordOptions(), cancel).output;
}

void verify(const std::string& file, const torch::jit::Module& module, const WrittenProgram& program,
            const CancelToken& cancel) {
  std::string difference;
  try {
    const ExportedArchive archive(std::make_shared<FileView>(file), std::nullopt, /*verify=*/true);
    const torch::jit::Module written = readExportedProgram(archive, std::nullopt, std::nullopt);
    for (const auto& arguments : program.trials) {
      std::optional<c10::IValue> expected;
      try {
        expected = outputOf(module, arguments, cancel);
      } catch (const Error& error) {
        if (error.code() == "ERR_ABORTED" || error.code() == "ERR_OUT_OF_MEMORY") throw;
        continue;  // sizes that the module itself doesn't take
      }
      if (!sameOutput(outputOf(written, arguments, cancel), *expected))
        difference = "it gives other outputs than the model";
    }
  } catch (const Error& error) {
    if (error.code() == "ERR_ABORTED" || error.code() == "ERR_OUT_OF_MEMORY") throw;
    difference = std::string("reading it again fails: ") + error.what();
  }
  if (difference.empty()) return;
  throw Error("ERR_EXPORTED_WRITE", "What was written is not the model, so no file was made: " + difference +
                                        ". Please report the model, and save it as TorchScript.");
}

}  // namespace

void writeExportedFile(const torch::jit::Module& module, const ExtraFiles& extraFiles, const Inputs& example,
                       const std::string& path, const CancelToken& cancel) {
  const at::NoGradGuard noGrad;
  const WrittenProgram program = withFailureCode(
      "ERR_EXPORTED_WRITE", [&] { return writeProgram(module, example, extraFiles.all(), cancel); });
  AtomicFile file(path);
  writeArchiveInto(file, [&](auto write) { writeArchive(program, write); });
  verify(file.temporary(), module, program, cancel);
  cancel.throwIfCancelled();
  file.commit();
}

}  // namespace torchsearch

#include "core/space/shape_program.h"

#include "core/base/error.h"
#include "core/forward/agreement.h"
#include "core/graph/call_shape.h"
#include "core/graph/recorder.h"
#include "core/model/mode_guard.h"
#include "core/model/output_check.h"

namespace torchsearch {

namespace {

// Bytes of prepared weights that are always kept, however small the model is.
constexpr int64_t kSmallestCache = 64 << 20;

}  // namespace

void ShapeProgram::run(const std::vector<bool>& keptBlocks) {
  if (keptBlocks == kept) return;
  const bool whole = std::find(keptBlocks.begin(), keptBlocks.end(), false) == keptBlocks.end();
  running = whole ? program : std::make_shared<const Program>(withoutBlocks(*program, blocks, keptBlocks));
  plan = std::make_shared<const ExecutionPlan>(running);
  executor = Executor(plan);
  for (auto& item : modes) item.preparer.reset();
  kept = keptBlocks;
}

ProgramPreparer& ShapeProgram::preparing(bool recalibrates) {
  auto& preparer = mode(recalibrates).preparer;
  if (!preparer) preparer.emplace(plan, weights, recalibrates ? Norms::kKept : Norms::kFolded);
  return *preparer;
}

ShapePrograms::ShapePrograms(std::shared_ptr<const ConvertedModel> model)
    : model_(std::move(model)),
      weights_(std::make_shared<WeightCache>(std::max(kSmallestCache, 5 * model_->module->bytes()))) {}

ShapeProgram& ShapePrograms::at(const Inputs& inputs, const CancelToken& cancel) {
  const std::string key = shapeKey(*model_->graph, inputs);
  const auto found = programs_.find(key);
  if (found != programs_.end()) return *found->second;
  const ModeGuard evaluation(*model_->module, /*training=*/false);
  RecordOptions options;
  options.splitBySizes = true;
  const auto recording = record(model_->graph, inputs, options, cancel);
  auto dependencies = std::make_shared<const Dependencies>(recording.program, *model_->dependencies);
  auto entry = std::make_unique<ShapeProgram>(recording.program, std::move(dependencies), weights_);
  if (!model_->blocks.blocks.empty()) entry->blocks = findResidualBlocks(*recording.program);
  return *programs_.emplace(key, std::move(entry)).first->second;
}

// The graph's nodes tell which block is which.
std::vector<bool> ShapePrograms::keptIn(const ShapeProgram& entry, const std::vector<bool>& blocks) const {
  std::vector<bool> kept(entry.blocks.blocks.size(), true);
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (blocks[b]) continue;
    const auto& block = model_->blocks.blocks[b];
    const auto* node = model_->program->instructions[block.addition.instruction].node;
    const auto& instructions = entry.program->instructions;
    const auto own = std::find_if(
        entry.blocks.blocks.begin(), entry.blocks.blocks.end(),
        [&](const ResidualBlock& other) { return instructions[other.addition.instruction].node == node; });
    if (own != entry.blocks.blocks.end()) {
      kept[own - entry.blocks.blocks.begin()] = false;
    } else if (std::any_of(instructions.begin(), instructions.end(), [&](const Instruction& instruction) {
                 return instruction.runs() && instruction.node == node;
               })) {
      throw Error("ERR_INPUT_SHAPE", "At this input shape the block '" + block.name +
                                         "' can't be left out. Convert the model with a dummy input of this "
                                         "shape.");
    }
  }
  return kept;
}

void ShapePrograms::tryPrepared(ShapeProgram& entry, const Bindings& prepared, bool recalibrates,
                                const SubnetTensors& statistics, const Inputs& inputs,
                                const CancelToken& cancel) const {
  std::vector<size_t> recomputed;
  for (size_t i = 0; recalibrates && i < entry.running->slots.size(); ++i) {
    const auto& slot = entry.running->slots[i];
    if (slot.isStored() && statistics.count(slot.name) > 0) recomputed.push_back(i);
  }
  const auto run = [&](Bindings bindings) {
    for (const size_t slot : recomputed) bindings.values[slot] = bindings.values[slot].clone();
    auto outputs = outputsWithoutTrace(model_->module->jit(), [&] {
      return entry.executor.run(bindings, inputTensors(*model_->graph, copied(inputs)), cancel);
    });
    for (const size_t slot : recomputed) outputs.push_back(bindings.values[slot]);
    return outputs;
  };
  Bindings plain = prepared;
  plain.prepared = nullptr;
  const auto expected = run(plain);
  bool equal = false;
  try {
    equal = agree(run(prepared), expected);
  } catch (const Error& error) {
    if (error.code() == "ERR_ABORTED") throw;
  }
  entry.mode(recalibrates).trust = equal ? ShapeProgram::Trust::kTrusted : ShapeProgram::Trust::kRefused;
}

}  // namespace torchsearch

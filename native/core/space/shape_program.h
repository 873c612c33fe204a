#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/forward/executor.h"
#include "core/forward/prepared_program.h"
#include "core/forward/weight_cache.h"
#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"
#include "core/space/converted_model.h"
#include "core/space/subnet_bindings.h"

namespace torchsearch {

class ProgramReuse;

// The model recorded at one shape of inputs, and what of it is bound to be run.
struct ShapeProgram {
  ShapeProgram(std::shared_ptr<const Program> recorded, std::shared_ptr<const Dependencies> analysed,
               std::shared_ptr<WeightCache> cache)
      : program(std::move(recorded)),
        dependencies(std::move(analysed)),
        weights(std::move(cache)),
        running(program),
        plan(std::make_shared<const ExecutionPlan>(program)),
        executor(plan) {}

  // Makes `running` the program without the blocks that are not kept.
  void run(const std::vector<bool>& keptBlocks);

  enum class Trust : uint8_t { kUntried, kTrusted, kRefused };
  // How it runs in evaluation, and when batch norms recompute their statistics.
  struct Mode {
    std::optional<ProgramPreparer> preparer;  // of `plan`
    Trust trust = Trust::kUntried;            // whether a prepared run gave what a plain one gives
  };
  Mode& mode(bool recalibrates) { return modes[recalibrates ? 1 : 0]; }

  // Made when it is needed first: many programs are only ever recorded.
  ProgramPreparer& preparing(bool recalibrates);

  // What was bound has to be bound again.
  void unbind() { selection = kUnbound; }

  static constexpr int64_t kUnbound = -1;

  std::shared_ptr<const Program> program;
  std::shared_ptr<const Dependencies> dependencies;
  std::shared_ptr<WeightCache> weights;  // prepared, of all programs of the model
  ResidualBlocks blocks;
  std::shared_ptr<const Program> running;     // `program`, or what is left of it
  std::vector<bool> kept;                     // by block, in `running`
  std::shared_ptr<const ExecutionPlan> plan;  // of `running`
  Executor executor;
  std::array<Mode, 2> modes;
  Bindings bindings;
  int64_t selection = kUnbound;  // the version that `bindings` are for
  bool recalibrating = false;    // how `bindings` are made
  Recalibration recalibration;
  std::shared_ptr<ProgramReuse> reuse;  // null until activations are to be kept
};

// The programs of a model, one for each shape of inputs that it was called with. One thread at a time.
class ShapePrograms {
 public:
  explicit ShapePrograms(std::shared_ptr<const ConvertedModel> model);

  // Records the model where it wasn't called with inputs of this shape before. The caller holds the module's
  // lock. What `record` throws; ERR_INPUT_SHAPE
  ShapeProgram& at(const Inputs& inputs, const CancelToken& cancel);

  // Which of the entry's own blocks are kept where those of the converted model are. ERR_INPUT_SHAPE
  std::vector<bool> keptIn(const ShapeProgram& entry, const std::vector<bool>& blocks) const;

  // Whether a prepared run of the first selection that meets this program gives what a plain one gives, and
  // the same statistics where these are recomputed; if not, the program always runs as it was recorded.
  void tryPrepared(ShapeProgram& entry, const Bindings& prepared, bool recalibrates,
                   const SubnetTensors& statistics, const Inputs& inputs, const CancelToken& cancel) const;

  // Calls `visit` with each program.
  template <typename Visit>
  void forEach(Visit&& visit) {
    for (auto& item : programs_) visit(*item.second);
  }

 private:
  std::shared_ptr<const ConvertedModel> model_;
  std::shared_ptr<WeightCache> weights_;
  std::map<std::string, std::unique_ptr<ShapeProgram>> programs_;
};

}  // namespace torchsearch

#pragma once

#include <algorithm>
#include <array>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/forward/activation_cache.h"
#include "core/forward/executor.h"
#include "core/forward/prepared_program.h"
#include "core/graph/dependency.h"
#include "core/graph/residual_blocks.h"
#include "core/space/prefix_analysis.h"
#include "core/space/search_space.h"

namespace torchsearch {

// The model recorded at one shape of inputs, and what of it is bound to be run.
struct SearchSpace::ShapeProgram {
  struct Reuse;

  ShapeProgram(std::shared_ptr<const Program> recorded, std::shared_ptr<const Dependencies> analysed)
      : program(std::move(recorded)),
        dependencies(std::move(analysed)),
        running(program),
        plan(std::make_shared<const ExecutionPlan>(program)),
        executor(plan) {}

  // Makes `running` the program without the blocks that are not kept.
  void run(const std::vector<bool>& keptBlocks) {
    if (keptBlocks == kept) return;
    const bool whole = std::find(keptBlocks.begin(), keptBlocks.end(), false) == keptBlocks.end();
    running = whole ? program : std::make_shared<const Program>(withoutBlocks(*program, blocks, keptBlocks));
    plan = std::make_shared<const ExecutionPlan>(running);
    executor = Executor(plan);
    for (auto& mode : modes) mode.preparer.reset();
    kept = keptBlocks;
  }

  enum class Trust : uint8_t { kUntried, kTrusted, kRefused };
  // How it runs in evaluation, and when batch norms recompute their statistics.
  struct Mode {
    std::optional<ProgramPreparer> preparer;  // of `plan`
    Trust trust = Trust::kUntried;            // whether a prepared run gave what a plain one gives
  };
  Mode& mode(bool recalibrates) { return modes[recalibrates ? 1 : 0]; }

  // Made when it is needed first: many programs are only ever recorded.
  ProgramPreparer& preparing(bool recalibrates, const std::shared_ptr<WeightCache>& weights) {
    auto& preparer = mode(recalibrates).preparer;
    if (!preparer) preparer.emplace(plan, weights, recalibrates ? Norms::kKept : Norms::kFolded);
    return *preparer;
  }

  std::shared_ptr<const Program> program;
  std::shared_ptr<const Dependencies> dependencies;
  ResidualBlocks blocks;
  std::shared_ptr<const Program> running;     // `program`, or what is left of it
  std::vector<bool> kept;                     // by block, in `running`
  std::shared_ptr<const ExecutionPlan> plan;  // of `running`
  Executor executor;
  std::array<Mode, 2> modes;
  Bindings bindings;
  int64_t selection = -1;
  bool recalibrating = false;    // how `bindings` are made
  std::vector<size_t> momenta;   // which of the overrides follow the number of batches
  int32_t lastNorm = -1;         // the last one whose statistics are recomputed; -1 for none
  std::shared_ptr<Reuse> reuse;  // null until activations are to be kept
};

// Where the bound subnet may go on from another one's activations.
struct SearchSpace::ShapeProgram::Reuse {
  Reuse(const Dependencies& dependencies, const ResidualBlocks& blocks) : analysis(dependencies, blocks) {}

  // Checkpoints at one place, by what runs before it, in one mode of the norms.
  struct Family {
    bool recalibrating = false;
    int32_t boundary = 0;
    Digest prefix;
    ProgramSubnet subnet;  // one of those that it serves
    std::shared_ptr<CheckpointFamily> checkpoints = std::make_shared<CheckpointFamily>();
    int64_t bytes = 0;  // of the last checkpoint
  };

  Family& familyAt(int32_t boundary);
  // Tells the families how soon the candidates foreseen want them, and which are to be made.
  void plan(const std::vector<ProgramSubnet>& future, ActivationCache& cache);

  PrefixAnalysis analysis;
  std::list<Family> families;
  // Of the subnet that is bound:
  bool recalibrating = false;
  ProgramSubnet subnet;
  std::vector<Digest> prefixes;
  std::vector<double> multiplyAdds;   // before each instruction
  std::vector<int32_t> instructions;  // that run before each instruction
  std::vector<Family*> wanted;        // to be captured, by ascending boundary
  std::vector<Digest> statistics;     // by norm, and one past the last: of all norms before it
};

}  // namespace torchsearch

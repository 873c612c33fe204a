#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "core/forward/activation_cache.h"
#include "core/forward/prepared_program.h"
#include "core/graph/residual_blocks.h"
#include "core/hash/digest.h"
#include "core/space/prefix_analysis.h"
#include "core/space/shape_program.h"

namespace torchsearch {

// Checkpoints of all batches at one place of one program, by what runs before it, in one mode of the norms.
struct PrefixFamily {
  bool recalibrating = false;
  int32_t boundary = 0;  // the instruction that comes next
  Digest prefix;
  ProgramSubnet subnet;  // one of those that it serves
  std::shared_ptr<CheckpointFamily> checkpoints = std::make_shared<CheckpointFamily>();
  int64_t bytes = 0;  // of the last checkpoint
};

// Where the bound subnet of one program may go on from another one's activations.
class ProgramReuse {
 public:
  // `customs` may be null.
  ProgramReuse(const Dependencies& dependencies, const ResidualBlocks& blocks,
               const CustomHyperparameters* customs);

  // The subnet that has just been bound. `running` is the program without the blocks that it leaves out.
  void bind(ProgramSubnet subnet, bool recalibrating, const Program& running);
  // Decides by the candidates to come how soon checkpoints will be needed, and which are to be made.
  void plan(const std::vector<ProgramSubnet>& future, ActivationCache& cache);
  // What the norms' statistics are now: they decide what norms give in evaluation, and what they average
  // into.
  void readStatistics(const ShapeProgram& entry, const SubnetTensors& statistics);
  // All checkpoints are gone.
  void forgetFamilies() { families_.clear(); }

  bool recalibrating() const { return recalibrating_; }
  const std::vector<TrackedNorm>& norms() const { return analysis_.norms(); }
  // How many of them come before an instruction.
  size_t normsBefore(int32_t instruction) const;

  const std::list<PrefixFamily>& families() const { return families_; }
  // To be captured, by ascending boundary.
  const std::vector<PrefixFamily*>& wanted() const { return wanted_; }
  // Whether the bound subnet can go on from a family's checkpoints.
  bool serves(const PrefixFamily& family) const {
    return family.recalibrating == recalibrating_ && family.prefix == prefixes_[family.boundary];
  }

  // By instruction, and one past the last; of the bound subnet, and of what comes before the instruction.
  const Digest& prefixAt(int32_t instruction) const { return prefixes_[instruction]; }
  const Digest& statisticsAt(int32_t instruction) const { return statistics_[normsBefore(instruction)]; }
  double multiplyAddsBefore(int32_t instruction) const { return multiplyAdds_[instruction]; }
  int32_t instructionsBefore(int32_t instruction) const { return instructions_[instruction]; }

 private:
  PrefixFamily& familyAt(int32_t boundary);
  void dropUseless(const std::vector<ProgramSubnet>& future, ActivationCache& cache);
  CheckpointFamily usesOf(const ProgramSubnet& subnet, int32_t boundary,
                          const std::vector<ProgramSubnet>& future) const;

  PrefixAnalysis analysis_;
  size_t blockCount_;
  std::list<PrefixFamily> families_;
  // Of the subnet that is bound:
  bool recalibrating_ = false;
  ProgramSubnet subnet_;
  std::vector<Digest> prefixes_;
  std::vector<double> multiplyAdds_;
  std::vector<int32_t> instructions_;
  std::vector<PrefixFamily*> wanted_;
  std::vector<Digest> statistics_;  // by norm, and one past the last: of all norms before it
};

}  // namespace torchsearch

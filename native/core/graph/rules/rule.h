#pragma once

#include <string>
#include <vector>

#include "core/graph/dependency_analysis.h"

namespace torchsearch {

// One operator at work: its tensors by their names in the schema.
class Rule {
 public:
  Rule(DependencyAnalysis& analysis, const Instruction& instruction)
      : analysis(analysis),
        instruction(instruction),
        reason("'" + instruction.schema->name() + "' needs it whole") {}

  const ValueTree& argument(const char* name) const {
    return instruction.arguments.at(*instruction.schema->argumentIndexWithName(name));
  }
  bool has(const char* name) const {
    return instruction.schema->argumentIndexWithName(name).has_value() && argument(name).isSlot();
  }
  SlotId slot(const char* name) const { return argument(name).slot; }
  int64_t integer(const char* name) const { return argument(name).constant.toInt(); }
  std::vector<Labels>& labels(SlotId id) const { return analysis.of(id); }
  const std::vector<int64_t>& sizes(SlotId id) const { return analysis.sizes(id); }
  int64_t rank(SlotId id) const { return static_cast<int64_t>(sizes(id).size()); }
  bool isActivation(SlotId id) const { return !analysis.program().slots[id].isStored(); }
  SlotId result() const { return instruction.results.at(0).slot; }
  int64_t wrap(int64_t dimension, int64_t rank) const { return dimension < 0 ? dimension + rank : dimension; }

  // A vector parameter (bias, batch-norm scale) along `along`.
  void tieVector(const char* name, const Labels& along) const {
    if (!has(name)) return;
    analysis.tie(labels(slot(name)).at(0), along, reason);
  }
  void setResult(std::vector<Labels> dimensions) const {
    dimensions.resize(sizes(result()).size());
    labels(result()) = std::move(dimensions);
  }

  DependencyAnalysis& analysis;
  const Instruction& instruction;
  std::string reason;
};

void collectSlots(const ValueTree& tree, std::vector<SlotId>& slots);

// Tensors of the arguments, depth first.
std::vector<SlotId> tensorArguments(const Instruction& instruction);

// Tensors of the results, depth first.
std::vector<SlotId> tensorResults(const Instruction& instruction);

using RuleFn = void (*)(const Rule&);

// What is right for every operator: nothing that passes through it is narrowed, with its name as the reason.
void keepWhole(const Rule& rule);

// Result and arguments broadcast against each other, aligned at the last dimension.
void elementwiseRule(const Rule& rule);

// Sums over a dimension of two operands, which is tied.
void convolutionRule(const Rule& rule);
void linearRule(const Rule& rule);
void matmulRule(const Rule& rule);
void addmmRule(const Rule& rule);

void channelNormRule(const Rule& rule);
void groupNormRule(const Rule& rule);
void layerNormRule(const Rule& rule);
void preluRule(const Rule& rule);

// Batch and channels pass; the dimensions that are resampled are no channels.
void spatialRule(const Rule& rule);

// Dimensions change their places, are merged or split.
void reshapeRule(const Rule& rule);
void permuteRule(const Rule& rule);

// Dimensions are put together of pieces, or taken apart.
void concatenateRule(const Rule& rule);
void splitRule(const Rule& rule);
void sliceRule(const Rule& rule);
void selectRule(const Rule& rule);

void reduceRule(const Rule& rule);
void embeddingRule(const Rule& rule);

}  // namespace torchsearch

#pragma once

#include <string>
#include <vector>

#include "core/graph/dependency_analysis.h"

namespace torchsearch {

// A dimension of a tensor.
struct Place {
  SlotId slot = kNoSlot;
  int64_t dimension = 0;
};

// One operator at work: its tensors by their names in the schema.
class Rule {
 public:
  Rule(DependencyAnalysis& analysis, const Instruction& instruction)
      : analysis(analysis),
        instruction(instruction),
        reason("'" + instruction.schema->name() + "' needs it whole") {}

  const std::string& name() const { return instruction.schema->name(); }
  bool takes(const char* name) const { return instruction.schema->argumentIndexWithName(name).has_value(); }
  // Throws where the schema has no such argument.
  const ValueTree& argument(const char* name) const;
  // A tensor was passed.
  bool has(const char* name) const { return takes(name) && argument(name).isSlot(); }
  // Something other than None was passed.
  bool isGiven(const char* name) const;
  // The tensor that was passed; throws where none was.
  SlotId slot(const char* name) const;
  // The first tensor among the arguments, depth first.
  SlotId input() const;
  int64_t integer(const char* name) const { return argument(name).constant.toInt(); }
  bool boolean(const char* name) const { return argument(name).constant.toBool(); }
  // One integer or a list of them.
  std::vector<int64_t> integers(const char* name) const;
  // The same for dimensions of a tensor of this rank.
  std::vector<int64_t> dimensions(const char* name, int64_t rank) const;
  int64_t dimension(const char* name, int64_t rank) const { return wrap(integer(name), rank); }

  // Whether a number that was passed may differ at another shape of the model's inputs; one of a list.
  bool varies(const char* name) const;
  bool elementVaries(const char* name, int64_t element) const;

  std::vector<Labels>& labels(SlotId id) const { return analysis.of(id); }
  const std::vector<int64_t>& sizes(SlotId id) const { return analysis.sizes(id); }
  int64_t size(const Place& place) const { return sizes(place.slot).at(place.dimension); }
  int64_t rank(SlotId id) const { return static_cast<int64_t>(sizes(id).size()); }
  bool isActivation(SlotId id) const { return !analysis.program().slots[id].isStored(); }
  // A parameter or buffer, or a view of one.
  bool isWeight(SlotId id) const;
  // The first result; throws where it is a list.
  SlotId result() const;
  int64_t wrap(int64_t dimension, int64_t rank) const { return dimension < 0 ? dimension + rank : dimension; }
  // Whether anything uses this tensor, which may be one result of several.
  bool isRead(SlotId id) const;

  // Ties dimensions that run along each other index by index, or are broadcast where they are of size 1, and
  // gives the labels of the whole that they make.
  Labels shared(const std::vector<Place>& places) const;
  // Ties what a product sums over.
  void contract(const Place& a, const Place& b) const;
  // As `shared`, for the dimensions of a result of this rank, the tensors aligned at their last dimension.
  std::vector<Labels> broadcast(const std::vector<SlotId>& tensors, int64_t rank) const;
  // A tensor that is broadcast onto what already has labels.
  void tieOnto(const std::vector<Labels>& onto, SlotId tensor) const;

  // A vector parameter (bias, batch-norm scale) along `along`.
  void tieVector(const char* name, const Labels& along) const {
    if (!has(name)) return;
    analysis.tie(labels(slot(name)).at(0), along, reason);
  }
  void fix(const Labels& labels) const { analysis.fix(labels, reason); }
  // Their places have a meaning, unless nothing but the result's shape is asked for.
  void fixPlaces(const Labels& labels) const {
    if (!analysis.isUnread()) fix(labels);
  }
  // Gives the labels of the first result.
  void setResult(std::vector<Labels> dimensions) const { setResult(result(), std::move(dimensions)); }
  void setResult(SlotId result, std::vector<Labels> dimensions) const;
  // Gives all results of the same shape as the first one the same labels.
  void setResults(const std::vector<Labels>& dimensions) const;

  DependencyAnalysis& analysis;
  const Instruction& instruction;
  std::string reason;
};

// Tensors inside values, depth first.
std::vector<SlotId> slotsIn(const std::vector<ValueTree>& trees);

// Tensors of the arguments, depth first.
std::vector<SlotId> tensorArguments(const Instruction& instruction);

// Tensors of the results, depth first.
std::vector<SlotId> tensorResults(const Instruction& instruction);

using RuleFn = void (*)(const Rule&);

// What is right for every operator: nothing that passes through it is narrowed, with its name as the reason.
void keepWhole(const Rule& rule);

// Result and arguments broadcast against each other, aligned at the last dimension.
void elementwiseRule(const Rule& rule);
// The result is shaped like the first tensor; others, if any, only say of what type.
void unaryRule(const Rule& rule);
// Makes tensors of nothing but numbers.
void factoryRule(const Rule& rule);
// The same of one number alone, whose indices are all alike.
void fillRule(const Rule& rule);
// What is repeated without being copied is alike.
void expandRule(const Rule& rule);
// Index by index but for the last two dimensions, whose indices matter.
void triangleRule(const Rule& rule);

void convolutionRule(const Rule& rule);

// Sums over a dimension of two operands, which is tied.
void linearRule(const Rule& rule);
void matmulRule(const Rule& rule);
void addedProductRule(const Rule& rule);
void distanceRule(const Rule& rule);
void outerRule(const Rule& rule);
void chainRule(const Rule& rule);
void tensordotRule(const Rule& rule);
void bilinearRule(const Rule& rule);
void einsumRule(const Rule& rule);
void attentionRule(const Rule& rule);

void channelNormRule(const Rule& rule);
void groupNormRule(const Rule& rule);
void layerNormRule(const Rule& rule);
void weightNormRule(const Rule& rule);
void preluRule(const Rule& rule);

// The last dimensions (as many as the operator's name says) are resampled; those before them pass.
void spatialRule(const Rule& rule);
void gridSampleRule(const Rule& rule);
// Sliding windows become columns, or columns are summed into them.
void windowRule(const Rule& rule);
void columnsRule(const Rule& rule);
void unfoldRule(const Rule& rule);

// Dimensions change their places, are merged or split.
void reshapeRule(const Rule& rule);
void permuteRule(const Rule& rule);
void pixelShuffleRule(const Rule& rule);
void pixelUnshuffleRule(const Rule& rule);
void channelShuffleRule(const Rule& rule);

// Dimensions are put together of pieces, or taken apart.
void concatenateRule(const Rule& rule);
void splitRule(const Rule& rule);
void sliceRule(const Rule& rule);
void selectRule(const Rule& rule);
void stackRule(const Rule& rule);
void unbindRule(const Rule& rule);
void gluRule(const Rule& rule);
void padRule(const Rule& rule);
void repeatRule(const Rule& rule);
void repeatInterleaveRule(const Rule& rule);
void meshgridRule(const Rule& rule);

// Indices of some dimensions change their places; the others pass.
void flipRule(const Rule& rule);
// Pairs of numbers become one, or the other way round.
void complexViewRule(const Rule& rule);
void rollRule(const Rule& rule);

// Rows are looked up by index.
void indexRule(const Rule& rule);
void indexPutRule(const Rule& rule);
void indexSelectRule(const Rule& rule);
void gatherRule(const Rule& rule);
void scatterRule(const Rule& rule);
void embeddingRule(const Rule& rule);
void embeddingBagRule(const Rule& rule);

// Some dimensions vanish, or become of size 1.
void reduceRule(const Rule& rule);
void varianceRule(const Rule& rule);
void extremumRule(const Rule& rule);
void positionRule(const Rule& rule);
void similarityRule(const Rule& rule);
// The order along one dimension matters; the others pass.
void orderedRule(const Rule& rule);

// A unit has one row of each gate; a recurrent layer's sizes are arguments of no operator.
void recurrentRule(const Rule& rule);
void recurrentCellRule(const Rule& rule);

}  // namespace torchsearch

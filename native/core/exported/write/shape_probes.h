#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/call/inputs.h"
#include "core/exported/json.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/program.h"

namespace torchsearch::exported {

// A size of the inputs that may have other values.
struct InputSymbol {
  struct Place {
    size_t tensor = 0;  // among the tensors of the inputs, depth first
    int64_t dimension = 0;
    // The size is scale * symbol + offset.
    int64_t scale = 1;
    int64_t offset = 0;

    bool isSymbol() const { return scale == 1 && offset == 0; }
    int64_t sizeAt(int64_t symbol) const { return scale * symbol + offset; }
  };
  std::string name;
  int64_t least = 2;
  std::optional<int64_t> most;
  Json range;                   // as a program writes it
  std::vector<Place> places{};  // at least one; those that are the symbol itself first
};

// A model's program at the example's sizes and at others, so that each number in it is seen as a constant or
// as one that follows from sizes. The sizes that may differ are those of the model's input contract; where
// it has none, the first dimension of all its inputs, if their rows turn out to be computed apart.
class ShapeProbes {
 public:
  // ERR_EXPORTED_WRITE where the contract promises sizes at which the model takes another path.
  ShapeProbes(std::shared_ptr<InlinedGraph> graph, const Inputs& example, const Json& origin,
              const CancelToken& cancel);

  const std::vector<InputSymbol>& symbols() const { return symbols_; }
  // Values of the symbols, the example's first.
  const std::vector<std::vector<int64_t>>& points() const { return points_; }
  // One for each point: the same instructions, slots and nestings, with other numbers.
  const std::vector<std::shared_ptr<const Program>>& programs() const { return programs_; }
  // All arguments of `forward` in order. A size of 1 that may have other values is 2: Python takes 1 for
  // another case.
  const std::vector<c10::IValue>& arguments() const { return arguments_; }
  std::vector<c10::IValue> argumentsAt(const std::vector<int64_t>& point) const;
  // Other values of the symbols, as far as the model takes them, which no number was seen at.
  std::optional<std::vector<int64_t>> unseenPoint() const;

 private:
  void readContract(const Json& origin);
  void proposeBatch();
  void enlarge();
  bool tryPoint(std::vector<int64_t> point);
  void probe();
  void probeAlong(size_t symbol);
  bool isSeen(size_t symbol) const;
  bool uniteUnseen();
  bool rowsStayApart() const;

  std::shared_ptr<InlinedGraph> graph_;
  CancelToken cancel_;
  std::vector<c10::IValue> arguments_;
  std::vector<InputSymbol> symbols_;
  std::vector<std::vector<int64_t>> points_;
  std::vector<std::shared_ptr<const Program>> programs_;
  std::vector<c10::IValue> outputs_;  // likewise
};

}  // namespace torchsearch::exported

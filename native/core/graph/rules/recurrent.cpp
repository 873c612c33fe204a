#include <algorithm>
#include <unordered_set>

#include "core/graph/rules/rule.h"

namespace torchsearch {

namespace {

// Gates that stand one after the other in the first dimension of each weight.
int64_t gatesOf(const std::string& name) {
  if (name.rfind("aten::lstm", 0) == 0) return 4;
  return name.rfind("aten::gru", 0) == 0 ? 3 : 1;
}

// Ties the rows of each gate to the units that they make.
void tieGates(const Rule& rule, const Labels& rows, const Labels& units, int64_t gates) {
  Labels all;
  for (int64_t g = 0; g < gates; ++g) all.insert(all.end(), units.begin(), units.end());
  rule.analysis.tie(rows, all, rule.reason);
}

// The units of a weight's rows: those of its first gate, tied to the others'.
Labels unitsOf(const Rule& rule, SlotId weight, int64_t gates) {
  const Labels& rows = rule.labels(weight).at(0);
  Labels units(rows.begin(), rows.begin() + static_cast<int64_t>(rows.size()) / gates);
  tieGates(rule, rows, units, gates);
  return units;
}

// A state that begins as zeros or the like, made of numbers alone, follows the units' number.
bool isFilled(const Rule& rule, SlotId slot) {
  static const std::unordered_set<std::string> factories = {
      "aten::zeros", "aten::ones", "aten::full", "aten::new_zeros", "aten::new_ones", "aten::new_full"};
  const Slot& state = rule.analysis.program().slots[slot];
  return state.kind == Slot::Kind::kResult && state.producer >= 0 &&
         factories.count(rule.analysis.program().instructions[state.producer].schema->name()) > 0;
}

// The last dimension of a state; the others stay whole.
void tieState(const Rule& rule, SlotId state, const Labels& units) {
  auto& labels = rule.labels(state);
  if (labels.empty()) return keepWhole(rule);
  for (size_t d = 0; d + 1 < labels.size(); ++d) rule.fix(labels[d]);
  if (labels.back().empty() && isFilled(rule, state)) labels.back() = units;
  rule.analysis.tie(labels.back(), units, rule.reason);
}

// The weights of one layer and direction, in the order in which modules keep them.
struct Cell {
  SlotId input, state;
  SlotId inputBias = kNoSlot, stateBias = kNoSlot, projection = kNoSlot;
};

class RecurrentLayers {
 public:
  explicit RecurrentLayers(const Rule& rule)
      : rule_(rule),
        gates_(gatesOf(rule.name())),
        directions_(rule.boolean("bidirectional") ? 2 : 1),
        weights_(slotsIn({rule.argument("params")})) {}

  void run() {
    const int64_t layers = rule_.integer("num_layers");
    const bool packed = rule_.takes("data");
    const SlotId input = rule_.slot(packed ? "data" : "input");
    const auto states = slotsIn({rule_.argument("hx")});
    const auto count = static_cast<size_t>(layers * directions_);
    if (weights_.empty() || weights_.size() % count != 0 || states.empty()) return keepWhole(rule_);
    perCell_ = weights_.size() / count;
    auto in = rule_.labels(input);
    // Steps follow each other, and a batch has its sequences beside each other.
    for (size_t d = 0; d + 1 < in.size(); ++d) rule_.fix(in[d]);
    for (const SlotId weight : weights_) {
      if (rule_.isActivation(weight)) return keepWhole(rule_);
    }
    const Cell first = cellAt(0);
    // The states of all layers and directions lie in one tensor: their units have one number.
    const Labels units = unitsOf(rule_, first.state, gates_);
    const Labels outputs = first.projection == kNoSlot ? units : rule_.labels(first.projection).at(0);
    if (first.projection != kNoSlot) keepWider(units, outputs.size());
    Labels below = in.back();
    for (int64_t layer = 0; layer < layers; ++layer) {
      Labels above;
      for (int64_t direction = 0; direction < directions_; ++direction) {
        tieCell(cellAt(layer * directions_ + direction), below, units, outputs);
        above.insert(above.end(), outputs.begin(), outputs.end());
      }
      below = above;
    }
    for (size_t s = 0; s < states.size(); ++s) tieState(rule_, states[s], s == 0 ? outputs : units);
    in.back() = below;
    giveResults(std::move(in), states, outputs, units);
  }

 private:
  Cell cellAt(int64_t index) const {
    const SlotId* at = weights_.data() + static_cast<size_t>(index) * perCell_;
    Cell cell{at[0], at[1]};
    size_t next = 2;
    if (rule_.boolean("has_biases")) {
      cell.inputBias = at[2];
      cell.stateBias = at[3];
      next = 4;
    }
    if (next < perCell_) cell.projection = at[next];
    return cell;
  }

  // LibTorch tells a projection by another width of the state, so units always outnumber what they become.
  void keepWider(const Labels& units, size_t projected) const {
    const auto end = units.begin() + static_cast<int64_t>(std::min(units.size(), projected + 1));
    rule_.analysis.fix(Labels(units.begin(), end),
                       "'" + rule_.name() + "' needs more units than its projection is wide");
  }

  void tieCell(const Cell& cell, const Labels& below, const Labels& units, const Labels& outputs) const {
    const auto tie = [&](SlotId slot, int64_t dimension, const Labels& labels) {
      rule_.analysis.tie(rule_.labels(slot).at(dimension), labels, rule_.reason);
    };
    for (const SlotId slot : {cell.input, cell.state, cell.inputBias, cell.stateBias}) {
      if (slot != kNoSlot) tieGates(rule_, rule_.labels(slot).at(0), units, gates_);
    }
    tie(cell.input, 1, below);
    tie(cell.state, 1, outputs);
    if (cell.projection == kNoSlot) return;
    tie(cell.projection, 0, outputs);
    tie(cell.projection, 1, units);
  }

  void giveResults(std::vector<Labels> output, const std::vector<SlotId>& states, const Labels& outputs,
                   const Labels& units) const {
    const auto results = tensorResults(rule_.instruction);
    for (size_t r = 0; r < results.size(); ++r) {
      if (r == 0) {
        rule_.setResult(results[r], std::move(output));
        continue;
      }
      std::vector<Labels> state(rule_.labels(states[0]).size());
      state.back() = r == 1 ? outputs : units;
      rule_.setResult(results[r], std::move(state));
    }
  }

  const Rule& rule_;
  int64_t gates_;
  int64_t directions_;
  std::vector<SlotId> weights_;
  size_t perCell_ = 0;
};

}  // namespace

void recurrentRule(const Rule& rule) {
  Rule explained(rule);
  explained.reason = "'" + rule.name() + "' needs it whole: units follow all gates, layers and directions";
  RecurrentLayers(explained).run();
}

// One step: its state is a matrix, and no layer is above it.
void recurrentCellRule(const Rule& rule) {
  const int64_t gates = gatesOf(rule.name());
  const SlotId input = rule.slot("input");
  const SlotId fromInput = rule.slot("w_ih");
  const SlotId fromState = rule.slot("w_hh");
  if (rule.isActivation(fromInput) || rule.isActivation(fromState)) return keepWhole(rule);
  const Labels units = unitsOf(rule, fromState, gates);
  tieGates(rule, rule.labels(fromInput).at(0), units, gates);
  rule.analysis.tie(rule.labels(fromInput).at(1), rule.labels(input).back(), rule.reason);
  rule.analysis.tie(rule.labels(fromState).at(1), units, rule.reason);
  for (const char* name : {"b_ih", "b_hh"}) {
    if (rule.has(name)) tieGates(rule, rule.labels(rule.slot(name)).at(0), units, gates);
  }
  for (const SlotId state : slotsIn({rule.argument("hx")})) tieState(rule, state, units);
  auto out = rule.labels(input);
  for (size_t d = 0; d + 1 < out.size(); ++d) rule.fix(out[d]);
  out.back() = units;
  rule.setResults(out);
}

}  // namespace torchsearch

#include "core/exported/write/shape_probes.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <utility>

#include "core/base/error.h"
#include "core/call/arguments.h"
#include "core/call/input_contract.h"
#include "core/exported/write/same_steps.h"
#include "core/graph/recorder.h"

namespace torchsearch::exported {

using c10::IValue;

namespace {

// Python takes sizes of 0 and 1 for cases of their own.
constexpr int64_t kLeast = 2;
// How many other values each symbol is seen at.
constexpr size_t kProbes = 3;
// How many times as large as in the example an input's dimension may become.
constexpr int64_t kMostGrowth = 16;

using TensorChange = std::function<at::Tensor(const at::Tensor&)>;

IValue changed(const IValue& value, const TensorChange& change) {
  if (value.isTensor()) return value.toTensor().defined() ? IValue(change(value.toTensor())) : value;
  if (value.isTuple()) {
    std::vector<IValue> items;
    for (const IValue& item : value.toTupleRef().elements()) items.push_back(changed(item, change));
    const auto type = value.type()->cast<c10::TupleType>();
    if (type && type->name()) return c10::ivalue::Tuple::createNamed(std::move(items), type);
    return c10::ivalue::Tuple::create(std::move(items));
  }
  if (value.isList() && !value.isIntList() && !value.isDoubleList() && !value.isBoolList()) {
    c10::impl::GenericList list(value.toList().elementType());
    for (const IValue& item : value.toListRef()) list.push_back(changed(item, change));
    return list;
  }
  if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    c10::impl::GenericDict made(dict.keyType(), dict.valueType());
    for (const auto& item : dict) made.insert(item.key(), changed(item.value(), change));
    return made;
  }
  return value;
}

std::vector<IValue> changedAll(const std::vector<IValue>& values, const TensorChange& change) {
  std::vector<IValue> made;
  for (const IValue& value : values) made.push_back(changed(value, change));
  return made;
}

// Rows are repeated or left out, so that numbers which stand for something, such as tokens, stay sound.
at::Tensor resized(const at::Tensor& tensor, int64_t dimension, int64_t size) {
  const int64_t old = tensor.size(dimension);
  if (size < 0) throw Error("ERR_INPUT", "A size would be negative.");
  if (old == size || old == 0) return tensor;
  return tensor.index_select(dimension, at::arange(size, at::kLong).remainder(old));
}

// Calls `visit(tensor, ranges, lines)` for each tensor that the contract describes, depth first.
template <typename Visit>
void visitContract(const IValue& entry, const IValue& value, Visit&& visit) {
  if (!entry.isTuple() || entry.toTupleRef().elements().empty()) return;
  const auto& parts = entry.toTupleRef().elements();
  if (!parts[0].isString()) return;
  const std::string& kind = parts[0].toStringRef();
  if (kind == "tensor" && value.isTensor() && parts.size() > 2 && parts[2].isIntList()) {
    const bool more = parts.size() > 3 && parts[3].isIntList();
    visit(value.toTensor(), parts[2].toIntVector(), more ? parts[3].toIntVector() : std::vector<int64_t>());
  } else if (kind == "any" && value.isInt()) {
    refuseWriting("a number as an input that may have other values", "Export it with a tensor in its place.");
  } else if (kind == "items" || (kind == "fields" && value.isTuple())) {
    const size_t step = kind == "items" ? 1 : 2;
    std::vector<IValue> items;
    if (value.isTuple()) items = value.toTupleRef().elements().vec();
    if (value.isList()) items = value.toListRef().vec();
    for (size_t i = 0; i < items.size() && step * (i + 1) < parts.size(); ++i)
      visitContract(parts[step * (i + 1)], items[i], visit);
  } else if (kind == "fields" && value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    for (size_t i = 1; i + 1 < parts.size(); i += 2) {
      const auto found = dict.find(parts[i]);
      if (found != dict.end()) visitContract(parts[i + 1], found->value(), visit);
    }
  }
}

bool close(const at::Tensor& a, const at::Tensor& b) {
  if (!a.is_floating_point()) return at::equal(a, b);
  const double scale = b.numel() == 0 ? 0 : b.abs().max().item<double>();
  return at::allclose(a.to(at::kDouble), b.to(at::kDouble), 1e-3, 1e-4 * std::max(scale, 1e-3), true);
}

}  // namespace

ShapeProbes::ShapeProbes(std::shared_ptr<InlinedGraph> graph, const Inputs& example, const Json& origin,
                         const CancelToken& cancel)
    : graph_(std::move(graph)), cancel_(cancel) {
  const auto& schema = graph_->module().get_method("forward").function().getSchema();
  // Each tensor is one of its own, so that one that was given twice is two inputs.
  arguments_ = changedAll(bindArguments(schema, example), [](const at::Tensor& tensor) {
    return tensor.detach().clone(at::MemoryFormat::Contiguous);
  });
  const bool promised = graph_->module().type()->findAttributeSlot(kInputContract).has_value();
  if (promised) {
    readContract(origin);
  } else {
    proposeBatch();
  }
  enlarge();
  probe();
  // Dim.AUTO gives two inputs' batches symbols of their own where nothing in the export compares them.
  if (promised && uniteUnseen()) probe();
  for (size_t symbol = 0; promised && symbol < symbols_.size(); ++symbol) {
    if (isSeen(symbol)) continue;
    refuseWriting("an input whose size " + symbols_[symbol].name +
                      " may differ, and takes no other path only at " + std::to_string(points_[0][symbol]),
                  "Export the model with that size fixed.");
  }
  if (promised || symbols_.empty() || (isSeen(0) && rowsStayApart())) return;
  symbols_.clear();
  points_ = {{}};
  programs_.resize(1);
  outputs_.resize(1);
}

void ShapeProbes::readContract(const Json& origin) {
  const IValue contract = graph_->module().attr(kInputContract);
  if (!contract.isTuple()) return;
  const auto& entries = contract.toTupleRef().elements();
  std::vector<at::Tensor> tensors;
  for (const IValue& argument : arguments_) collectTensors(argument, tensors);
  const Json* names = findField(origin, "symbols");
  const Json* ranges = findField(origin, "ranges");
  std::vector<int64_t> numbers;
  const auto symbolOf = [&](int64_t number, int64_t least, int64_t most) -> InputSymbol& {
    const auto known = std::find(numbers.begin(), numbers.end(), number);
    if (known != numbers.end()) return symbols_[known - numbers.begin()];
    numbers.push_back(number);
    InputSymbol symbol{.name = "s" + std::to_string(number),
                       .least = std::max(least, kLeast),
                       .most = std::nullopt,
                       .range = {{"min_val", std::max(least, kLeast)}, {"max_val", nullptr}}};
    if (most != std::numeric_limits<int64_t>::max()) {
      symbol.most = most;
      symbol.range["max_val"] = most;
    }
    if (names != nullptr && names->is_array() && static_cast<size_t>(number) < names->size()) {
      symbol.name = textOf((*names)[number]);
      const Json* range = ranges == nullptr ? nullptr : findField(*ranges, symbol.name.c_str());
      if (range != nullptr) symbol.range = *range;
    }
    symbols_.push_back(std::move(symbol));
    return symbols_.back();
  };
  const auto indexOf = [&](const at::Tensor& tensor) {
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const at::Tensor& other) { return other.is_same(tensor); });
    return static_cast<size_t>(found - tensors.begin());
  };
  const auto note = [&](const at::Tensor& tensor, const std::vector<int64_t>& sizes, const auto&) {
    for (size_t d = 0; 3 * d + 2 < sizes.size(); ++d) {
      if (sizes[3 * d + 1] == sizes[3 * d + 2] || sizes[3 * d] < 0) continue;
      symbolOf(sizes[3 * d], sizes[3 * d + 1], sizes[3 * d + 2])
          .places.push_back({indexOf(tensor), static_cast<int64_t>(d)});
    }
  };
  const auto noteLines = [&](const at::Tensor& tensor, const std::vector<int64_t>& sizes,
                             const std::vector<int64_t>& lines) {
    for (size_t d = 0; 3 * d + 2 < sizes.size(); ++d) {
      if (sizes[3 * d + 1] == sizes[3 * d + 2] || sizes[3 * d] >= 0) continue;
      size_t at = 0;
      while (at + 5 < lines.size() && lines[at] != static_cast<int64_t>(d)) at += 6;
      if (at + 5 >= lines.size()) {
        refuseWriting("an input whose dimension " + std::to_string(d) + " is an expression of several sizes",
                      "Export the model with Dim.AUTO there, or save the subnet as TorchScript.");
      }
      if (lines[at + 2] == 0 || !isFactor(lines[at + 2]) || !isFactor(lines[at + 3])) {
        refuseWriting("an input whose dimension " + std::to_string(d) + " has an absurd size",
                      "Export the model with Dim.AUTO there, or save the subnet as TorchScript.");
      }
      symbolOf(lines[at + 1], lines[at + 4], lines[at + 5])
          .places.push_back({indexOf(tensor), static_cast<int64_t>(d), lines[at + 2], lines[at + 3]});
    }
  };
  for (size_t i = 0; i < entries.size() && i < arguments_.size(); ++i)
    visitContract(entries[i], arguments_[i], note);
  for (size_t i = 0; i < entries.size() && i < arguments_.size(); ++i)
    visitContract(entries[i], arguments_[i], noteLines);
}

void ShapeProbes::proposeBatch() {
  if (graph_->module().hasattr("training") && graph_->module().is_training()) return;
  std::vector<at::Tensor> tensors;
  for (const IValue& argument : arguments_) collectTensors(argument, tensors);
  if (tensors.empty()) return;
  InputSymbol batch{.name = "s0",
                    .least = kLeast,
                    .most = std::nullopt,
                    .range = {{"min_val", kLeast}, {"max_val", nullptr}}};
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].dim() == 0 || tensors[i].size(0) == 0 || tensors[0].dim() == 0 ||
        tensors[i].size(0) != tensors[0].size(0)) {
      return;
    }
    batch.places.push_back({i, 0});
  }
  symbols_.push_back(std::move(batch));
}

std::vector<IValue> ShapeProbes::argumentsAt(const std::vector<int64_t>& point) const {
  size_t index = 0;
  return changedAll(arguments_, [&](const at::Tensor& tensor) {
    at::Tensor made = tensor;
    for (size_t s = 0; s < symbols_.size(); ++s) {
      for (const auto& place : symbols_[s].places) {
        if (place.tensor == index) made = resized(made, place.dimension, place.sizeAt(point[s]));
      }
    }
    ++index;
    return made.is_same(tensor) ? tensor.clone(at::MemoryFormat::Contiguous) : made;
  });
}

void ShapeProbes::enlarge() {
  std::vector<at::Tensor> tensors;
  for (const IValue& argument : arguments_) collectTensors(argument, tensors);
  std::vector<int64_t> base;
  for (const InputSymbol& symbol : symbols_) {
    const auto& place = symbol.places.at(0);
    base.push_back(
        std::max((tensors.at(place.tensor).size(place.dimension) - place.offset) / place.scale, kLeast));
  }
  for (size_t s = 0; s < symbols_.size(); ++s) {
    for (const auto& place : symbols_[s].places) {
      const int64_t before = tensors.at(place.tensor).size(place.dimension);
      const int64_t after = place.sizeAt(base[s]);
      if (after < 0 || after > kMostGrowth * std::max<int64_t>(before, 1)) {
        refuseWriting("an input whose dimension " + std::to_string(place.dimension) + " grows in steps of " +
                          std::to_string(place.scale),
                      "Save it on an input that is larger there, or export the model with Dim.AUTO.");
      }
    }
  }
  arguments_ = argumentsAt(base);
  points_.push_back(std::move(base));
}

bool ShapeProbes::tryPoint(std::vector<int64_t> point) {
  try {
    const Recording recording = record(graph_, Inputs{argumentsAt(point), {}}, RecordOptions(), cancel_);
    if (!sameSteps(*programs_[0], *recording.program)) return false;
    programs_.push_back(recording.program);
    outputs_.push_back(recording.output);
  } catch (const Error& error) {
    if (error.code() == "ERR_ABORTED" || error.code() == "ERR_OUT_OF_MEMORY") throw;
    return false;  // a size that the model does not take
  }
  points_.push_back(std::move(point));
  return true;
}

void ShapeProbes::probeAlong(size_t symbol) {
  const int64_t n = points_[0][symbol];
  const int64_t most = symbols_[symbol].most.value_or(std::numeric_limits<int64_t>::max());
  std::vector<int64_t> tried{n};
  size_t seen = 0;
  for (const int64_t size : {n + 1, n + 3, 2 * n + 1, 2 * n, 3 * n, n - 1, n - 3, 4 * n, n / 2, n - 2}) {
    if (seen == kProbes) return;
    if (size < symbols_[symbol].least || size > most || std::count(tried.begin(), tried.end(), size) > 0)
      continue;
    tried.push_back(size);
    std::vector<int64_t> point = points_[0];
    point[symbol] = size;
    if (tryPoint(std::move(point))) ++seen;
  }
}

// Whether the model takes another value of a symbol, on the same path.
bool ShapeProbes::isSeen(size_t symbol) const {
  return std::any_of(points_.begin(), points_.end(),
                     [&](const auto& point) { return point[symbol] != points_[0][symbol]; });
}

// A symbol that has no other value by itself may have one together with another, which may have one by
// itself: of tokens and their mask, a mask with more rows may do. Those of the same size become one. Whether
// there are such.
bool ShapeProbes::uniteUnseen() {
  std::vector<InputSymbol> symbols;
  std::vector<int64_t> base;
  std::vector<bool> open;
  for (size_t s = 0; s < symbols_.size(); ++s) {
    const int64_t size = points_[0][s];
    const bool alone = isSeen(s);
    size_t first = 0;
    while (first < symbols.size() && (base[first] != size || (alone && !open[first]))) ++first;
    if (first == symbols.size()) {
      symbols.push_back(symbols_[s]);
      base.push_back(size);
      open.push_back(!alone);
      continue;
    }
    open[first] = open[first] && !alone;
    InputSymbol& united = symbols[first];
    united.places.insert(united.places.end(), symbols_[s].places.begin(), symbols_[s].places.end());
    std::stable_partition(united.places.begin(), united.places.end(),
                          [](const auto& place) { return place.isSymbol(); });
    if (symbols_[s].least > united.least) {
      united.least = symbols_[s].least;
      united.range["min_val"] = symbols_[s].range["min_val"];
    }
    if (symbols_[s].most && (!united.most || *symbols_[s].most < *united.most)) {
      united.most = symbols_[s].most;
      united.range["max_val"] = symbols_[s].range["max_val"];
    }
  }
  if (symbols.size() == symbols_.size()) return false;
  symbols_ = std::move(symbols);
  points_ = {std::move(base)};
  programs_.clear();
  outputs_.clear();
  return true;
}

void ShapeProbes::probe() {
  Recording recording = record(graph_, Inputs{argumentsAt(points_[0]), {}}, RecordOptions(), cancel_);
  programs_.push_back(recording.program);
  outputs_.push_back(recording.output);
  if (recording.program->dataDependent) {
    refuseWriting("numbers or control flow that follow from its inputs' values (" +
                      recording.program->dataDependence + ")",
                  "Save it as TorchScript.");
  }
  std::vector<std::vector<int64_t>> joint;
  for (size_t symbol = 0; symbol < symbols_.size(); ++symbol) {
    const size_t before = points_.size();
    probeAlong(symbol);
    for (size_t i = before; i < points_.size(); ++i) {
      if (joint.size() <= i - before) joint.push_back(points_[0]);
      joint[i - before][symbol] = points_[i][symbol];
    }
  }
  for (size_t i = 0; symbols_.size() > 1 && i < joint.size(); ++i) tryPoint(joint[i]);
}

std::optional<std::vector<int64_t>> ShapeProbes::unseenPoint() const {
  const auto isTaken = [&](const std::vector<int64_t>& point) {
    try {
      requireContract(graph_->module(), argumentsAt(point));
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  constexpr std::array<int64_t, 6> kSteps{2, -1, 4, 8, 12, 24};
  for (size_t first = 0; first < kSteps.size() && !symbols_.empty(); ++first) {
    std::vector<int64_t> point = points_[0];
    for (size_t s = 0; s < symbols_.size(); ++s) {
      for (size_t i = 0; i < kSteps.size(); ++i) {
        const int64_t size = points_[0][s] + kSteps[(first + i) % kSteps.size()];
        if (size < symbols_[s].least || (symbols_[s].most && size > *symbols_[s].most)) continue;
        point[s] = size;
        break;
      }
    }
    if (std::find(points_.begin(), points_.end(), point) == points_.end() && isTaken(point)) return point;
  }
  return std::nullopt;
}

// Whether a larger batch, whose first rows are the smaller one's, gives the same for those.
bool ShapeProbes::rowsStayApart() const {
  std::vector<at::Tensor> base;
  collectTensors(outputs_[0], base);
  const int64_t rows = points_[0][0];
  for (size_t p = 1; p < points_.size(); ++p) {
    std::vector<at::Tensor> other;
    collectTensors(outputs_[p], other);
    if (points_[p][0] < rows || other.size() != base.size()) continue;
    for (size_t i = 0; i < base.size(); ++i) {
      if (base[i].dim() == 0 || base[i].size(0) != rows || other[i].size(0) != points_[p][0]) return false;
      if (!close(other[i].narrow(0, 0, rows), base[i])) return false;
    }
  }
  return true;
}

}  // namespace torchsearch::exported

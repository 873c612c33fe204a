#include "core/call/input_contract.h"

#include <cstdlib>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/call/size_guards.h"

namespace torchsearch {
namespace {

constexpr const char* kRemedy =
    " To run it at other sizes, export the model again with dynamic_shapes, such as {0: Dim.AUTO} for its "
    "batch.";

// How much of a condition a message shows.
constexpr size_t kShown = 300;

class ContractCheck {
 public:
  explicit ContractCheck(const c10::FunctionSchema& schema) : schema_(schema) {}

  void check(const c10::IValue& contract, const std::vector<c10::IValue>& arguments) {
    if (!contract.isTuple()) return;
    const auto& entries = contract.toTupleRef().elements();
    for (size_t i = 0; i < entries.size() && i < arguments.size() && i + 1 < schema_.arguments().size(); ++i)
      visit(entries[i], arguments[i], schema_.arguments()[i + 1].name());
    for (const Line& line : lines_) checkLine(line);
  }

 private:
  // A size that is scale * symbol + offset.
  struct Line {
    int64_t size;
    int64_t symbol;
    int64_t scale;
    int64_t offset;
    int64_t least;
    int64_t most;
    std::string where;
  };

  static c10::IValue at(const c10::ivalue::Tuple& entry, size_t index) {
    return index < entry.elements().size() ? entry.elements()[index] : c10::IValue();
  }

  // A contract in a file is as trustworthy as the file: what it doesn't say well it doesn't say.
  void visit(const c10::IValue& entry, const c10::IValue& value, const std::string& where) {
    if (!entry.isTuple()) return;
    const auto& tuple = entry.toTupleRef();
    const c10::IValue kind = at(tuple, 0);
    if (!kind.isString()) return;
    if (kind.toStringRef() == "tensor") {
      if (!value.isTensor() || !value.toTensor().defined())
        throw Error("ERR_INPUT", "The input " + where + " must be a tensor.");
      checkTensor(tuple, value.toTensor(), where);
    } else if (kind.toStringRef() == "constant") {
      checkConstant(at(tuple, 1), value, where);
    } else if (kind.toStringRef() == "items") {
      checkItems(tuple, value, where);
    } else if (kind.toStringRef() == "fields" && value.isTuple()) {
      const auto& items = value.toTupleRef().elements();
      for (size_t i = 0; i < items.size() && 2 * i + 2 < tuple.elements().size(); ++i)
        visit(tuple.elements()[2 * i + 2], items[i],
              where + "['" + tuple.elements()[2 * i + 1].toStringRef() + "']");
    } else if (kind.toStringRef() == "fields" && value.isGenericDict()) {
      const auto dict = value.toGenericDict();
      for (size_t i = 1; i + 1 < tuple.elements().size(); i += 2) {
        const std::string name = where + "['" + tuple.elements()[i].toStringRef() + "']";
        const auto found = dict.find(tuple.elements()[i]);
        if (found == dict.end()) throw Error("ERR_INPUT", "The input " + name + " is missing.");
        visit(tuple.elements()[i + 1], found->value(), name);
      }
      if (dict.size() > (tuple.elements().size() - 1) / 2) {
        throw Error("ERR_INPUT", "The input " + where + " has keys that the exported program does not know.");
      }
    }
  }

  void checkItems(const c10::ivalue::Tuple& entry, const c10::IValue& value, const std::string& where) {
    const size_t count = entry.elements().size() - 1;
    std::vector<c10::IValue> items;
    if (value.isTuple()) {
      items = value.toTupleRef().elements().vec();
    } else if (value.isList()) {
      for (const c10::IValue& item : value.toListRef()) items.push_back(item);
    }
    if (items.size() != count) {
      throw Error("ERR_INPUT", "The input " + where + " has " + std::to_string(items.size()) +
                                   " elements, but the model was exported for " + std::to_string(count) +
                                   ".");
    }
    for (size_t i = 0; i < count; ++i)
      visit(entry.elements()[i + 1], items[i], where + "[" + std::to_string(i) + "]");
  }

  static void checkConstant(const c10::IValue& constant, const c10::IValue& value, const std::string& where) {
    const bool whole =
        constant.isDouble() && value.isInt() && static_cast<double>(value.toInt()) == constant.toDouble();
    const bool same = (constant.isNone() && value.isNone()) || whole ||
                      (constant.tagKind() == value.tagKind() && !constant.isNone() && constant == value);
    if (same) return;
    std::ostringstream text;
    text << "The input " << where << " was a constant of the export (" << constant << "), and the program "
         << "computes with that value only. Leave it out, or export the model again with the other value.";
    throw Error("ERR_INPUT", text.str());
  }

  void checkTensor(const c10::ivalue::Tuple& entry, const at::Tensor& tensor, const std::string& where) {
    const c10::IValue type = at(entry, 1);
    if (type.isInt() && static_cast<int64_t>(tensor.scalar_type()) != type.toInt()) {
      throw Error("ERR_INPUT", "The input " + where + " has the dtype " +
                                   c10::toString(tensor.scalar_type()) + ", but the model was exported for " +
                                   c10::toString(static_cast<c10::ScalarType>(type.toInt())) +
                                   "; convert it, or export the model again.");
    }
    if (!at(entry, 2).isIntList()) return;
    const std::vector<int64_t> numbers = at(entry, 2).toIntVector();
    if (static_cast<int64_t>(numbers.size()) != 3 * tensor.dim()) {
      throw Error("ERR_INPUT", "The input " + where + " has " + std::to_string(tensor.dim()) +
                                   " dimensions, but the model was exported for " +
                                   std::to_string(numbers.size() / 3) + ".");
    }
    for (int64_t i = 0; i < tensor.dim(); ++i) {
      const size_t from = 3 * static_cast<size_t>(i);
      checkSize(tensor.size(i), numbers[from], numbers[from + 1], numbers[from + 2],
                "Dimension " + std::to_string(i) + " of the input " + where);
    }
    if (!at(entry, 3).isIntList()) return;
    const std::vector<int64_t> lines = at(entry, 3).toIntVector();
    for (size_t i = 0; i + 5 < lines.size(); i += 6) {
      if (lines[i] < 0 || lines[i] >= tensor.dim() || !isFactor(lines[i + 2]) || !isFactor(lines[i + 3]))
        continue;
      lines_.push_back({tensor.size(lines[i]), lines[i + 1], lines[i + 2], lines[i + 3], lines[i + 4],
                        lines[i + 5], "Dimension " + std::to_string(lines[i]) + " of the input " + where});
    }
  }

  // Once all other sizes are known. A symbol that is no size by itself gets its value here.
  void checkLine(const Line& line) {
    if (line.scale == 0) return;
    const std::string found = line.where + " is " + std::to_string(line.size) +
                              ", but the export found it to be " + std::to_string(line.scale) + " n " +
                              (line.offset < 0 ? "- " : "+ ") + std::to_string(std::abs(line.offset));
    const int64_t multiple = line.size - line.offset;
    const int64_t n = multiple / line.scale;
    if (multiple % line.scale != 0) throw Error("ERR_INPUT", found + " for a whole n." + kRemedy);
    if (n < line.least || n > line.most) {
      throw Error("ERR_INPUT", found + " for an n of " +
                                   (line.most == std::numeric_limits<int64_t>::max()
                                        ? "at least " + std::to_string(line.least)
                                        : std::to_string(line.least) + " to " + std::to_string(line.most)) +
                                   "." + kRemedy);
    }
    const auto [known, isNew] = symbols_.emplace(line.symbol, std::pair(n, "the n of that of " + line.where));
    if (!isNew && known->second.first != n) {
      throw Error("ERR_INPUT", found + ", where n is " + std::to_string(known->second.first) + ", " +
                                   known->second.second + ".");
    }
  }

  void checkSize(int64_t size, int64_t symbol, int64_t least, int64_t most, const std::string& where) {
    if (size < least || size > most) {
      const std::string expected = least == most ? std::to_string(least) + " only"
                                   : most == std::numeric_limits<int64_t>::max()
                                       ? "at least " + std::to_string(least)
                                   : least <= 0 ? "at most " + std::to_string(most)
                                                : std::to_string(least) + " to " + std::to_string(most);
      throw Error("ERR_INPUT", where + " is " + std::to_string(size) + ", but the model was exported for " +
                                   expected + "." + kRemedy);
    }
    if (symbol < 0) return;
    const auto [known, isNew] = symbols_.emplace(symbol, std::pair(size, where));
    if (!isNew && known->second.first != size) {
      throw Error("ERR_INPUT", where + " is " + std::to_string(size) + ", but the export found it equal to " +
                                   known->second.second + ", which is " +
                                   std::to_string(known->second.first) + ".");
    }
  }

  const c10::FunctionSchema& schema_;
  std::map<int64_t, std::pair<int64_t, std::string>> symbols_;
  std::vector<Line> lines_;
};

void requireGuards(const torch::jit::Module& module, const c10::FunctionSchema& schema,
                   const std::vector<c10::IValue>& arguments) {
  const auto slot = module.type()->findAttributeSlot(kSizeGuards);
  if (!slot) return;
  const c10::IValue guards = module._ivalue()->getSlot(*slot);
  if (!guards.isList()) return;
  for (const c10::IValue& guard : guards.toListRef()) {
    if (!guard.isString() || holdsFor(guard.toStringRef(), schema, arguments).value_or(true)) continue;
    std::string text = readableGuard(guard.toStringRef());
    if (text.size() > kShown) text = text.substr(0, kShown) + "…";
    throw Error("ERR_INPUT",
                "The program holds for inputs with " + text +
                    " only, as its export found, and the sizes of these don't meet that. Give it others, or "
                    "export the model again with such ones.");
  }
}

}  // namespace

void requireContract(const torch::jit::Module& module, const std::vector<c10::IValue>& arguments) {
  const auto slot = module.type()->findAttributeSlot(kInputContract);
  if (!slot) return;
  const auto method = module.find_method("forward");
  if (!method) return;
  const auto& schema = method->function().getSchema();
  ContractCheck(schema).check(module._ivalue()->getSlot(*slot), arguments);
  requireGuards(module, schema, arguments);
}

}  // namespace torchsearch

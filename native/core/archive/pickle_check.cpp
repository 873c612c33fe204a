#include "core/archive/pickle_check.h"

#include <array>
#include <utility>
#include <vector>

#include "core/archive/pickle_height.h"
#include "core/archive/pickle_machine.h"
#include "core/archive/pickle_tensors.h"
#include "core/base/error.h"

namespace torchsearch {
namespace {

constexpr size_t kMaxTypeDepth = 64;

using Kind = PickledKind;

constexpr std::array<std::string_view, 5> kQuantizerNames{
    "torch.per_tensor_affine", "torch.per_channel_affine", "torch.per_tensor_symmetric",
    "torch.per_channel_symmetric", "torch.per_channel_affine_float_qparams"};

constexpr std::array<std::string_view, 4> kListBuilders{
    "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.build_doublelist", "torch.jit._pickle.build_boollist"};

template <size_t N>
bool isOneOf(const std::array<std::string_view, N>& names, std::string_view name) {
  for (const std::string_view known : names) {
    if (known == name) return true;
  }
  return false;
}

class PickleWalk {
 public:
  PickleWalk(std::string_view bytes, const std::string& name, const PickleLimits& limits)
      : machine_(bytes, name), limits_(limits) {}

  PickledTree run() {
    if (machine_.byte() != 0x80 || machine_.byte() != 2) machine_.fail("it is not a pickle of protocol 2");
    while (step()) {
    }
    PickledTree tree = machine_.finish();
    if (const char* fault = nestingFault(tree)) machine_.fail(fault);
    return tree;
  }

 private:
  bool step();
  void apply(uint32_t callee, uint32_t argument);
  void pushTensor(uint32_t argument, bool quantized) {
    requireTensor(machine_, argument, quantized);
    machine_.push({.kind = Kind::kTensor, .number = 0, .text = {}, .items = {}});
  }

  PickleMachine machine_;
  const PickleLimits& limits_;
  uint64_t spent_ = 0;  // bytes of records that were read for storages
};

// One instruction; false at the end. Those that LibTorch knows and PyTorch's pickler does not write are
// refused.
bool PickleWalk::step() {
  const auto op = static_cast<char>(machine_.byte());
  switch (op) {
    case '.':
      return false;
    case '(':
      machine_.mark();
      return true;
    case ')':
      machine_.push({.kind = Kind::kTuple, .number = 0, .text = {}, .items = {}});
      return true;
    case ']':
      machine_.push({.kind = Kind::kList, .number = 0, .text = {}, .items = {}});
      return true;
    case '}':
      machine_.push({.kind = Kind::kDict, .number = 0, .text = {}, .items = {}});
      return true;
    case 'N':
      machine_.push({});
      return true;
    case '\x88':
    case '\x89':
      machine_.push({.kind = Kind::kBool, .number = op == '\x88' ? 1 : 0, .text = {}, .items = {}});
      return true;
    case 'K':
      machine_.push({.kind = Kind::kInt, .number = machine_.number<uint8_t>(), .text = {}, .items = {}});
      return true;
    case 'M':
      machine_.push({.kind = Kind::kInt, .number = machine_.number<uint16_t>(), .text = {}, .items = {}});
      return true;
    case 'J':
      machine_.push({.kind = Kind::kInt, .number = machine_.number<int32_t>(), .text = {}, .items = {}});
      return true;
    case '\x8a':
      if (machine_.byte() != 8) machine_.fail("it has a number of another length than 8 bytes");
      machine_.push({.kind = Kind::kInt, .number = machine_.number<int64_t>(), .text = {}, .items = {}});
      return true;
    case 'G':
      machine_.take(8);
      machine_.push({.kind = Kind::kFloat, .number = 0, .text = {}, .items = {}});
      return true;
    case 'X': {
      const auto size = machine_.number<uint32_t>();
      machine_.push(
          {.kind = Kind::kString, .number = 0, .text = std::string(machine_.take(size)), .items = {}});
      return true;
    }
    case 'q':
      machine_.remember(machine_.byte());
      return true;
    case 'r':
      machine_.remember(machine_.number<uint32_t>());
      return true;
    case 'h':
      machine_.recall(machine_.byte());
      return true;
    case 'j':
      machine_.recall(machine_.number<uint32_t>());
      return true;
    case 't': {
      std::vector<uint32_t> items = machine_.popToMark();
      machine_.push({.kind = Kind::kTuple, .number = 0, .text = {}, .items = std::move(items)});
      return true;
    }
    case '\x85':
    case '\x86':
    case '\x87':
      machine_.pushTuple(static_cast<size_t>(op - '\x85') + 1);
      return true;
    case 'l': {
      std::vector<uint32_t> items = machine_.popToMark();
      machine_.push({.kind = Kind::kList, .number = 0, .text = {}, .items = std::move(items)});
      return true;
    }
    case 'd': {
      std::vector<uint32_t> items = machine_.popToMark();
      if (items.size() % 2 != 0) machine_.fail("a dictionary has a key without a value");
      machine_.push({.kind = Kind::kDict, .number = 0, .text = {}, .items = std::move(items)});
      return true;
    }
    case 'a': {  // as Python writes a list of one
      const uint32_t item = machine_.pop();
      if (machine_.value(machine_.top()).kind != Kind::kList)
        machine_.fail("it appends to what is not a list");
      machine_.extend(machine_.top(), {item});
      return true;
    }
    case 'e': {
      const std::vector<uint32_t> items = machine_.popToMark();
      if (machine_.value(machine_.top()).kind != Kind::kList)
        machine_.fail("it appends to what is not a list");
      machine_.extend(machine_.top(), items);
      return true;
    }
    case 'u': {
      const std::vector<uint32_t> items = machine_.popToMark();
      if (machine_.value(machine_.top()).kind != Kind::kDict || items.size() % 2 != 0)
        machine_.fail("it sets items of what has none");
      machine_.extend(machine_.top(), items);
      return true;
    }
    case 's': {
      const uint32_t held = machine_.pop();
      const uint32_t key = machine_.pop();
      if (machine_.value(machine_.top()).kind != Kind::kDict)
        machine_.fail("it sets an item of what has none");
      machine_.extend(machine_.top(), {key, held});
      return true;
    }
    case 'c': {
      const std::string module = machine_.line();
      machine_.push(
          {.kind = Kind::kGlobal, .number = 0, .text = module + "." + machine_.line(), .items = {}});
      return true;
    }
    case '\x81': {  // an object, to be filled by BUILD
      const uint32_t arguments = machine_.pop();
      if (machine_.value(arguments).kind != Kind::kTuple || !machine_.value(arguments).items.empty() ||
          machine_.value(machine_.top()).kind != Kind::kGlobal) {
        machine_.fail("it makes an object of what is not a class");
      }
      return true;
    }
    case 'b':
    case 'R': {
      const uint32_t argument = machine_.pop();
      apply(machine_.pop(), argument);
      return true;
    }
    case 'Q':
      machine_.push(readStorage(machine_, limits_, spent_));
      return true;
    default:
      machine_.fail("it has an instruction that a model's pickle does not have");
  }
}

// REDUCE and BUILD, which LibTorch takes for the same.
void PickleWalk::apply(uint32_t callee, uint32_t argument) {
  if (machine_.value(callee).kind != Kind::kGlobal) machine_.fail("it calls what is not a function");
  const std::string name = machine_.value(callee).text;
  if (name == "torch._utils._rebuild_tensor_v2") return pushTensor(argument, false);
  if (name == "torch._utils._rebuild_qtensor") return pushTensor(argument, true);
  if (name == "torch._utils._rebuild_sparse_tensor") {
    throw Error("ERR_NOT_TORCHSCRIPT",
                "The record \"" + machine_.name() +
                    "\" holds a sparse tensor, whose indices LibTorch does not check; make it "
                    "dense (to_dense()) and save the model again.");
  }
  if (isOneOf(kListBuilders, name)) {
    machine_.item(argument, 0, Kind::kList, "a list of numbers or tensors is built from something else");
    machine_.setText(machine_.value(argument).items[0], name);
    machine_.pushKnown(machine_.value(argument).items[0]);
    return;
  }
  if (name == "torch.jit._pickle.restore_type_tag") {
    const std::string& type = machine_.item(argument, 1, Kind::kString, "a type is not text").text;
    size_t depth = 0;
    for (const char c : type) {
      if (c == '[' || c == '(') ++depth;
      if (c == ']' || c == ')') depth -= depth > 0 ? 1 : 0;
      if (depth > kMaxTypeDepth) machine_.fail("a type is nested too deeply");
    }
    const Kind tagged = machine_.value(machine_.value(argument).items[0]).kind;
    if (tagged != Kind::kList && tagged != Kind::kDict)
      machine_.fail("a type belongs to what is neither list nor dictionary");
    machine_.pushKnown(machine_.value(argument).items[0]);
    return;
  }
  if (name == "builtins.complex") {
    if (machine_.value(argument).kind != Kind::kTuple || machine_.value(argument).items.size() != 2)
      machine_.fail("a complex number lacks a part");
    machine_.item(argument, 0, Kind::kFloat, "a complex number lacks a part");
    machine_.item(argument, 1, Kind::kFloat, "a complex number lacks a part");
    return machine_.push({.kind = Kind::kOther, .number = 0, .text = {}, .items = {}});
  }
  if (name == "torch.device") {
    machine_.item(argument, 0, Kind::kString, "a device is not text");
    return machine_.push({.kind = Kind::kOther, .number = 0, .text = {}, .items = {}});
  }
  if (name == "collections.OrderedDict") return machine_.push({});
  if (isOneOf(kQuantizerNames, name) || isStorageType(name) || !name.starts_with("__torch__.")) {
    throw Error("ERR_UNKNOWN_CLASS",
                "The record \"" + machine_.name() + "\" names \"" + name +
                    "\", which a TorchScript model has no use for; save the model again.");
  }
  if (!limits_.allowsClass(name)) {
    throw Error("ERR_UNKNOWN_CLASS",
                "The record \"" + machine_.name() + "\" holds an object of the class \"" + name +
                    "\", which torchsearch does not load; replace it by what PyTorch's modules "
                    "offer, and save the model again.");
  }
  machine_.push({.kind = Kind::kObject, .number = 0, .text = {}, .items = {argument}});
}

}  // namespace

PickledTree checkPickle(std::string_view pickle, const std::string& name, const PickleLimits& limits) {
  return PickleWalk(pickle, name, limits).run();
}

}  // namespace torchsearch

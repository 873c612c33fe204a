#include "core/call/arguments.h"

#include <algorithm>
#include <sstream>

#include "core/base/error.h"

namespace torchsearch {
namespace {

[[noreturn]] void misfit(const c10::FunctionSchema& schema, const std::string& what) {
  throw Error("ERR_INPUT", what + " The module's signature is " + signatureOf(schema) + ".");
}

void checkType(const c10::FunctionSchema& schema, const c10::Argument& argument, const c10::IValue& value) {
  if (value.isTensor() && argument.type()->kind() == c10::TypeKind::TensorType) return;
  if (value.type()->isSubtypeOf(*argument.type())) return;
  misfit(schema, "Argument \"" + argument.name() + "\" must be " + argument.type()->annotation_str() +
                     ", not " + value.type()->annotation_str() + ".");
}

bool isOn(const c10::IValue& value, c10::Device device) {
  const auto on = [&](const c10::IValue& item) { return isOn(item, device); };
  if (value.isTensor()) return !value.toTensor().defined() || value.toTensor().device() == device;
  if (value.isTuple()) return std::ranges::all_of(value.toTupleRef().elements(), on);
  if (value.isList()) return std::ranges::all_of(value.toListRef(), on);
  if (!value.isGenericDict()) return true;
  for (const auto& item : value.toGenericDict()) {
    if (!on(item.value())) return false;
  }
  return true;
}

}  // namespace

std::string signatureOf(const c10::FunctionSchema& schema) {
  std::ostringstream out;
  out << schema.name() << "(";
  for (size_t i = 1; i < schema.arguments().size(); ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    if (i > 1) out << ", ";
    out << argument.name() << ": " << argument.type()->annotation_str();
    if (argument.default_value()) out << " = " << *argument.default_value();
  }
  out << ") -> ";
  if (schema.returns().size() == 1) {
    out << schema.returns()[0].type()->annotation_str();
  } else {
    out << "None";
  }
  return out.str();
}

std::vector<c10::IValue> bindArguments(const c10::FunctionSchema& schema, const Inputs& inputs) {
  const auto& arguments = schema.arguments();
  const size_t expected = arguments.empty() ? 0 : arguments.size() - 1;  // without `self`
  if (inputs.args.size() > expected) {
    misfit(schema, "The module takes at most " + std::to_string(expected) + " inputs, but " +
                       std::to_string(inputs.args.size()) + " were given.");
  }
  std::vector<c10::IValue> stack;
  stack.reserve(expected);
  size_t used = 0;
  for (size_t i = 0; i < expected; ++i) {
    const c10::Argument& argument = arguments[i + 1];
    const auto keyword = inputs.kwargs.find(argument.name());
    if (i < inputs.args.size()) {
      if (keyword != inputs.kwargs.end()) {
        misfit(schema, "Argument \"" + argument.name() + "\" was given both by position and by name.");
      }
      checkType(schema, argument, inputs.args[i]);
      stack.push_back(inputs.args[i]);
    } else if (keyword != inputs.kwargs.end()) {
      checkType(schema, argument, keyword->second);
      stack.push_back(keyword->second);
      ++used;
    } else if (argument.default_value()) {
      stack.push_back(*argument.default_value());
    } else {
      misfit(schema, "The input \"" + argument.name() + "\" is missing (" +
                         std::to_string(inputs.args.size()) + " given by position).");
    }
  }
  if (used != inputs.kwargs.size()) {
    for (const auto& [name, value] : inputs.kwargs) {
      if (!schema.argumentIndexWithName(name)) misfit(schema, "There is no input named \"" + name + "\".");
    }
    misfit(schema, "A keyword argument has the name \"self\".");
  }
  return stack;
}

c10::IValue onDevice(const c10::IValue& value, c10::Device device) {
  if (isOn(value, device)) return value;
  if (value.isTensor()) return value.toTensor().to(device);
  if (value.isTuple()) {
    const auto& tuple = value.toTupleRef();
    std::vector<c10::IValue> elements;
    for (const c10::IValue& element : tuple.elements()) elements.push_back(onDevice(element, device));
    return c10::ivalue::Tuple::createNamed(std::move(elements), tuple.type<c10::TupleType>());
  }
  if (value.isList()) {
    const auto list = value.toList();
    c10::impl::GenericList moved(list.elementType());
    moved.reserve(list.size());
    for (size_t i = 0; i < list.size(); ++i) moved.push_back(onDevice(list.get(i), device));
    return moved;
  }
  if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    c10::impl::GenericDict moved(dict.keyType(), dict.valueType());
    for (const auto& item : dict) moved.insert(item.key(), onDevice(item.value(), device));
    return moved;
  }
  return value;
}

Inputs onDevice(const Inputs& inputs, c10::Device device) {
  Inputs moved;
  for (const auto& value : inputs.args) moved.args.push_back(onDevice(value, device));
  for (const auto& [name, value] : inputs.kwargs) moved.kwargs.emplace(name, onDevice(value, device));
  return moved;
}

}  // namespace torchsearch

#include "core/call/arguments.h"

#include <algorithm>
#include <sstream>

#include "core/base/error.h"

namespace torchsearch {
namespace {

[[noreturn]] void misfit(const c10::FunctionSchema& schema, const std::string& what) {
  throw Error("ERR_INPUT", what + " The module's signature is " + signatureOf(schema) + ".");
}

// Files and copies forget the types of containers: the value with the containers that its type asks for, as
// far as they fit, a record for a tuple with names among them.
c10::IValue fitted(const c10::IValue& value, const c10::TypePtr& type) {
  if (const auto optional = type->cast<c10::OptionalType>())
    return value.isNone() ? value : fitted(value, optional->getElementType());
  if (value.isTensor() || value.type()->isSubtypeOf(*type)) return value;
  if (const auto tuple = type->cast<c10::TupleType>()) {
    std::vector<c10::IValue> items;
    const size_t count = tuple->elements().size();
    if (value.isTuple() && value.toTupleRef().size() == count) {
      items = value.toTupleRef().elements().vec();
    } else if (tuple->schema() && value.isGenericDict() && value.toGenericDict().size() == count) {
      const auto dict = value.toGenericDict();
      for (const c10::Argument& field : tuple->schema()->arguments()) {
        const auto found = dict.find(field.name());
        if (found == dict.end()) return value;
        items.push_back(found->value());
      }
    } else {
      return value;
    }
    for (size_t i = 0; i < count; ++i) {
      items[i] = fitted(items[i], tuple->elements()[i]);
      if (!items[i].type()->isSubtypeOf(*tuple->elements()[i])) return value;
    }
    if (tuple->name()) return c10::ivalue::Tuple::createNamed(std::move(items), tuple);
    return c10::ivalue::Tuple::create(std::move(items));
  }
  if (const auto list = type->cast<c10::ListType>(); list && value.isList()) {
    c10::impl::GenericList made(list->getElementType());
    for (const c10::IValue& item : value.toListRef()) {
      const c10::IValue one = fitted(item, list->getElementType());
      if (!one.type()->isSubtypeOf(*list->getElementType())) return value;
      made.push_back(one);
    }
    return made;
  }
  if (const auto dict = type->cast<c10::DictType>(); dict && value.isGenericDict()) {
    c10::impl::GenericDict made(dict->getKeyType(), dict->getValueType());
    for (const auto& item : value.toGenericDict()) {
      const c10::IValue one = fitted(item.value(), dict->getValueType());
      if (!item.key().type()->isSubtypeOf(*dict->getKeyType()) ||
          !one.type()->isSubtypeOf(*dict->getValueType())) {
        return value;
      }
      made.insert(item.key(), one);
    }
    return made;
  }
  return value;
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
      stack.push_back(fitted(inputs.args[i], argument.type()));
      checkType(schema, argument, stack.back());
    } else if (keyword != inputs.kwargs.end()) {
      stack.push_back(fitted(keyword->second, argument.type()));
      checkType(schema, argument, stack.back());
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

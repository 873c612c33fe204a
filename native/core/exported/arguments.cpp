#include "core/exported/arguments.h"

#include "core/exported/scalar_types.h"

namespace torchsearch::exported {

using c10::TypeKind;
using c10::TypePtr;
using torch::jit::Value;

Value* ArgumentBuilder::constant(const c10::IValue& value) const {
  return context_.graph.insertConstant(value);
}

Value* ArgumentBuilder::list(const TypePtr& element, const std::vector<Value*>& items) const {
  for (const Value* item : items) {
    if (!item->type()->isSubtypeOf(*element)) refuseProgram("a list holds values of several kinds");
  }
  return context_.graph.insertNode(context_.graph.createList(element, items))->output();
}

Value* ArgumentBuilder::number(const Json& value) const {
  const auto [kind, member] = memberOf(value);
  if (kind == "as_name") return names_.get(textOf(member));
  if (kind == "as_int") return constant(intOf(member));
  if (kind == "as_float") return constant(floatOf(member));
  if (kind == "as_bool") return constant(boolOf(member));
  refuseProgram("a number is of the kind \"" + kind + "\"");
}

Value* ArgumentBuilder::make(const Json& argument, const TypePtr& wanted) const {
  TypePtr type = wanted;
  if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  const auto [kind, value] = memberOf(argument);
  const TypePtr element = type->kind() == TypeKind::ListType ? type->containedType(0) : nullptr;
  if (value.is_array()) return several(kind, value, element);
  Value* made = single(kind, value, element ? element : type);
  if (element && kind != "as_none" && made->type()->isSubtypeOf(*element)) return list(element, {made});
  return made;
}

Value* ArgumentBuilder::single(const std::string& kind, const Json& value, const TypePtr& wanted) const {
  if (kind == "as_none") return constant({});
  if (kind == "as_tensor") return names_.get(textOf(field(value, "name")));
  if (kind == "as_optional_tensor") {
    const auto [inner, tensor] = memberOf(value);
    return inner == "as_tensor" ? names_.get(textOf(field(tensor, "name"))) : constant({});
  }
  if (kind == "as_int") {
    const int64_t number = intOf(value);
    if (wanted->kind() == TypeKind::FloatType) return constant(static_cast<double>(number));
    if (wanted->kind() == TypeKind::BoolType) return constant(number != 0);
    return constant(number);
  }
  if (kind == "as_float") return constant(floatOf(value));
  if (kind == "as_bool") {
    // TorchScript's numbers are no truth values; what depends on that is mended by the caller.
    if (wanted->kind() == TypeKind::NumberType) return constant(int64_t{boolOf(value)});
    return constant(boolOf(value));
  }
  if (kind == "as_string") return constant(textOf(value));
  if (kind == "as_complex")
    return constant(c10::complex<double>(floatOf(field(value, "real")), floatOf(field(value, "imag"))));
  if (kind == "as_sym_int" || kind == "as_sym_float" || kind == "as_sym_bool") return number(value);
  if (kind == "as_scalar_type") return constant(static_cast<int64_t>(scalarTypeOf(intOf(value))));
  if (kind == "as_memory_format") return constant(static_cast<int64_t>(memoryFormatOf(intOf(value))));
  if (kind == "as_layout") return constant(static_cast<int64_t>(layoutOf(intOf(value))));
  if (kind == "as_device") return device(value);
  refuseFeature("an argument of the kind \"" + kind + "\"",
                "export a model whose operators take tensors, numbers and texts.");
}

Value* ArgumentBuilder::several(const std::string& kind, const Json& values, const TypePtr& element) const {
  const TypePtr tensor = c10::TensorType::get();
  std::vector<Value*> items;
  if (kind == "as_tensors") {
    for (const Json& value : values) items.push_back(names_.get(textOf(field(value, "name"))));
    return list(element && element->kind() == TypeKind::OptionalType ? element : tensor, items);
  }
  if (kind == "as_optional_tensors") {
    for (const Json& value : values) items.push_back(single("as_optional_tensor", value, tensor));
    return list(c10::OptionalType::ofTensor(), items);
  }
  const bool floats = (element && element->kind() == TypeKind::FloatType) || kind == "as_floats";
  if (kind == "as_ints" && values.empty() && element && element->kind() != TypeKind::IntType)
    return list(element, {});
  if (kind == "as_ints" || kind == "as_floats") {
    const TypePtr type = floats ? TypePtr(c10::FloatType::get()) : TypePtr(c10::IntType::get());
    for (const Json& value : values)
      items.push_back(floats ? constant(floatOf(value)) : constant(intOf(value)));
    return list(type, items);
  }
  if (kind == "as_bools") {
    for (const Json& value : values) items.push_back(constant(boolOf(value)));
    return list(c10::BoolType::get(), items);
  }
  if (kind == "as_strings") {
    for (const Json& value : values) items.push_back(constant(textOf(value)));
    return list(c10::StringType::get(), items);
  }
  if (kind == "as_sym_ints" || kind == "as_sym_floats") {
    for (const Json& value : values) items.push_back(number(value));
    return list(kind == "as_sym_ints" ? TypePtr(c10::IntType::get()) : TypePtr(c10::FloatType::get()), items);
  }
  refuseFeature("an argument of the kind \"" + kind + "\"",
                "export a model whose operators take tensors, numbers and texts.");
}

Value* ArgumentBuilder::device(const Json& value) const {
  const std::string& type = textOf(field(value, "type"));
  const Json* index = findField(value, "index");
  std::optional<c10::Device> device;
  try {
    device.emplace(index == nullptr || index->is_null() ? type : type + ":" + std::to_string(intOf(*index)));
  } catch (const c10::Error&) {
    refuseProgram("a device does not exist");
  }
  return constant(device->type() == context_.exportedOn ? context_.device : *device);
}

}  // namespace torchsearch::exported

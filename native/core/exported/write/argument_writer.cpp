#include "core/exported/write/argument_writer.h"

#include <algorithm>
#include <cmath>

#include "core/exported/scalar_types.h"
#include "core/exported/write/written_call.h"

namespace torchsearch::exported {

using c10::IValue;
using c10::TypeKind;
using c10::TypePtr;

namespace {

TypePtr withoutOptional(TypePtr type) {
  while (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  return type;
}

// JSON has no text for these, and Python's reader takes these ones.
Json floatJson(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

Json deviceJson(const c10::Device& device) {
  return {{"type", c10::DeviceTypeName(device.type(), /*lower_case=*/true)},
          {"index", device.has_index() ? Json(device.index()) : Json(nullptr)}};
}

Json numberJson(int64_t value, const TypePtr& type) {
  switch (type->kind()) {
    case TypeKind::ScalarTypeType:
      return {{"as_scalar_type", numberOf(static_cast<at::ScalarType>(value))}};
    case TypeKind::MemoryFormatType:
      return {{"as_memory_format", numberOf(static_cast<at::MemoryFormat>(value))}};
    case TypeKind::LayoutType:
      if (static_cast<at::Layout>(value) != at::kStrided)
        refuseWriting("a tensor that is not strided", "Save it as TorchScript.");
      return {{"as_layout", kStridedLayout}};
    case TypeKind::FloatType:
      return {{"as_float", static_cast<double>(value)}};
    default:
      return {{"as_int", value}};
  }
}

}  // namespace

Json ArgumentWriter::tensor(SlotId slot) const {
  const auto found = names_.find(slot);
  if (found == names_.end()) refuseWriting("a tensor of unknown origin", "Save it as TorchScript.");
  return {{"name", found->second}};
}

Json ArgumentWriter::write(const std::vector<const ValueTree*>& values, const TypePtr& wanted,
                           const std::string& what) const {
  const ValueTree& first = *values.at(0);
  const TypePtr type = withoutOptional(wanted);
  if (first.isSlot()) {
    // A single tensor stands for a list of one.
    return {{"as_tensor", tensor(first.slot)}};
  }
  if (first.kind == ValueTree::Kind::kList) return tensors(first, type);
  if (first.kind != ValueTree::Kind::kConstant)
    refuseWriting(what + ", a tuple or dictionary", "Save it as TorchScript.");
  const bool same = std::all_of(values.begin(), values.end(), [&](const ValueTree* value) {
    return value->kind == first.kind && sameConstant(value->constant, first.constant);
  });
  return same ? constant(first.constant, type, what) : varying(values, what);
}

Json ArgumentWriter::tensors(const ValueTree& list, const TypePtr& type) const {
  const bool optional =
      type->kind() == TypeKind::ListType && type->containedType(0)->kind() == TypeKind::OptionalType;
  Json items = Json::array();
  for (const ValueTree& child : list.children) {
    if (optional) {
      items.push_back(child.isSlot() ? Json{{"as_tensor", tensor(child.slot)}} : Json{{"as_none", true}});
    } else {
      items.push_back(tensor(child.slot));
    }
  }
  return {{optional ? "as_optional_tensors" : "as_tensors", std::move(items)}};
}

Json ArgumentWriter::constant(const IValue& value, const TypePtr& type, const std::string& what) const {
  const TypePtr element = type->kind() == TypeKind::ListType ? type->containedType(0) : nullptr;
  if (value.isNone() || (value.isTensor() && !value.toTensor().defined())) return {{"as_none", true}};
  if (value.isBool()) return {{"as_bool", value.toBool()}};
  if (value.isInt()) return numberJson(value.toInt(), type);
  if (value.isDouble()) return {{"as_float", floatJson(value.toDouble())}};
  if (value.isString()) return {{"as_string", value.toStringRef()}};
  if (value.isDevice()) return {{"as_device", deviceJson(value.toDevice())}};
  if (value.isComplexDouble()) {
    const auto number = value.toComplexDouble();
    return {{"as_complex", {{"real", floatJson(number.real())}, {"imag", floatJson(number.imag())}}}};
  }
  if (value.isIntList()) {
    const bool floats = element && element->kind() == TypeKind::FloatType;
    return {{floats ? "as_floats" : "as_ints", value.toIntVector()}};
  }
  if (value.isDoubleList()) {
    Json items = Json::array();
    for (const double item : value.toDoubleVector()) items.push_back(floatJson(item));
    return {{"as_floats", std::move(items)}};
  }
  if (value.isBoolList()) {
    Json items = Json::array();
    for (const bool item : value.toBoolList()) items.push_back(item);
    return {{"as_bools", std::move(items)}};
  }
  if (value.isList()) {
    Json items = Json::array();
    bool texts = true;
    for (const IValue& item : value.toListRef()) {
      texts = texts && item.isString();
      if (item.isString()) items.push_back(item.toStringRef());
    }
    if (value.toListRef().empty()) return {{"as_tensors", Json::array()}};
    if (texts) return {{"as_strings", std::move(items)}};
  }
  refuseWriting(what + ", a " + value.tagKind(), "Save it as TorchScript.");
}

Json ArgumentWriter::varying(const std::vector<const ValueTree*>& values, const std::string& what) const {
  const auto each = [&](const auto& isKind) {
    return std::all_of(values.begin(), values.end(), [&](const ValueTree* value) {
      return value->kind == ValueTree::Kind::kConstant && isKind(value->constant);
    });
  };
  if (each([](const IValue& value) { return value.isInt(); })) {
    std::vector<int64_t> numbers;
    for (const ValueTree* value : values) numbers.push_back(value->constant.toInt());
    return {{"as_sym_int", numbers_.operand(numbers, what)}};
  }
  const size_t count = values[0]->constant.isIntList() ? values[0]->constant.toIntVector().size() : 0;
  if (each([&](const IValue& value) { return value.isIntList() && value.toIntVector().size() == count; })) {
    Json items = Json::array();
    for (size_t k = 0; k < count; ++k) {
      std::vector<int64_t> numbers;
      for (const ValueTree* value : values) numbers.push_back(value->constant.toIntVector()[k]);
      items.push_back(numbers_.operand(numbers, what));
    }
    return {{"as_sym_ints", std::move(items)}};
  }
  refuseWriting(what + ", which follows from the inputs' sizes and is no whole number",
                "Export the model with fewer dynamic dimensions, or save it as TorchScript.");
}

}  // namespace torchsearch::exported

#include "binding/ivalue.h"

#include <ATen/core/Dict.h>
#include <ATen/core/jit_type.h>

#include <cmath>

#include "binding/tensor.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "core/base/error.h"
#include "core/call/arguments.h"
#include "core/device/device.h"

namespace torchsearch::binding {
namespace {

constexpr int kMaxDepth = 64;
constexpr double kMaxSafe = 9007199254740991.0;  // 2^53 - 1

std::string kindOf(const Napi::Value& value) {
  if (value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsNumber()) return "a number";
  if (value.IsBigInt()) return "a bigint";
  if (value.IsString()) return "a string";
  if (value.IsBoolean()) return "a boolean";
  if (value.IsArray()) return "an array";
  if (value.IsFunction()) return "a function";
  if (value.IsTypedArray()) return "a typed array (make it a tensor with Tensor.from)";
  if (tryUnwrap<TensorWrap>(value) != nullptr) return "a Tensor";
  return "an object";
}

[[noreturn]] void misfit(const Napi::Value& value, const std::string& expected, const std::string& where) {
  throw Error("ERR_INPUT", where + " must be " + expected + ", not " + kindOf(value) + ".");
}

bool isRecord(const Napi::Value& value) {
  return value.IsObject() && !value.IsArray() && !value.IsFunction() && !value.IsTypedArray() &&
         tryUnwrap<TensorWrap>(value) == nullptr;
}

class ValueReader {
 public:
  c10::IValue read(const Napi::Value& value, const c10::TypePtr& type, const std::string& where, int depth) {
    if (depth > kMaxDepth) throw Error("ERR_INPUT", where + " is nested too deeply.");
    switch (type->kind()) {
      case c10::TypeKind::TensorType:
        return readTensor(value, where);
      case c10::TypeKind::OptionalType:
        if (value.IsNull() || value.IsUndefined()) return {};
        return read(value, type->expectRef<c10::OptionalType>().getElementType(), where, depth);
      case c10::TypeKind::NoneType:
        if (value.IsNull() || value.IsUndefined()) return {};
        misfit(value, "null", where);
      case c10::TypeKind::FloatType:
        if (!value.IsNumber()) misfit(value, "a number", where);
        return value.As<Napi::Number>().DoubleValue();
      case c10::TypeKind::IntType:
        return readInt(value, where);
      case c10::TypeKind::NumberType:
        if (value.IsNumber() && !isWhole(value)) return value.As<Napi::Number>().DoubleValue();
        return readInt(value, where);
      case c10::TypeKind::BoolType:
        if (!value.IsBoolean()) misfit(value, "a boolean", where);
        return value.As<Napi::Boolean>().Value();
      case c10::TypeKind::StringType:
        if (!value.IsString()) misfit(value, "a string", where);
        return value.As<Napi::String>().Utf8Value();
      case c10::TypeKind::DeviceObjType:
        if (!value.IsString()) misfit(value, "a device name", where);
        return parseDevice(value.As<Napi::String>());
      case c10::TypeKind::ListType:
        return readList(value, type->expectRef<c10::ListType>().getElementType(), where, depth);
      case c10::TypeKind::TupleType:
        return readTuple(value, type->expect<c10::TupleType>(), where, depth);
      case c10::TypeKind::DictType:
        return readDict(value, type->expectRef<c10::DictType>(), where, depth);
      case c10::TypeKind::UnionType:
        return readUnion(value, type->expectRef<c10::UnionType>(), where, depth);
      case c10::TypeKind::AnyType:
        return infer(value, where, depth);
      default:
        throw Error("ERR_INPUT",
                    where + " has type " + type->annotation_str() +
                        ", which cannot be given from JavaScript; wrap the model in one that takes tensors.");
    }
  }

 private:
  // The same memory with a shape of its own: a model that resizes or transposes its input in place doesn't
  // change the tensor that JavaScript holds, and may be reading.
  static at::Tensor readTensor(const Napi::Value& value, const std::string& where) {
    return TensorWrap::of(value, where).detach();
  }

  static bool isWhole(const Napi::Value& value) {
    const double number = value.As<Napi::Number>().DoubleValue();
    return std::trunc(number) == number && std::abs(number) <= kMaxSafe;
  }

  static c10::IValue readInt(const Napi::Value& value, const std::string& where) {
    if (value.IsBigInt()) {
      bool lossless = false;
      const int64_t number = value.As<Napi::BigInt>().Int64Value(&lossless);
      if (!lossless) throw Error("ERR_INPUT", where + " does not fit 64 bits.");
      return number;
    }
    if (!value.IsNumber()) misfit(value, "a whole number", where);
    if (!isWhole(value))
      throw Error("ERR_INPUT", where + " must be a whole number of at most 2^53 - 1 (or a bigint).");
    return value.As<Napi::Number>().Int64Value();
  }

  c10::IValue readList(const Napi::Value& value, const c10::TypePtr& element, const std::string& where,
                       int depth) {
    if (!value.IsArray()) misfit(value, "an array", where);
    const Napi::Array array = value.As<Napi::Array>();
    c10::impl::GenericList list(element);
    list.reserve(array.Length());
    for (uint32_t i = 0; i < array.Length(); ++i) {
      list.push_back(read(array.Get(i), element, where + "[" + std::to_string(i) + "]", depth + 1));
    }
    return list;
  }

  c10::IValue readTuple(const Napi::Value& value, const c10::TupleTypePtr& type, const std::string& where,
                        int depth) {
    const auto elements = type->elements();
    std::vector<c10::IValue> values;
    if (type->schema() && isRecord(value)) {
      const Napi::Object object = value.As<Napi::Object>();
      for (size_t i = 0; i < elements.size(); ++i) {
        const std::string& name = type->schema()->arguments()[i].name();
        values.push_back(read(object.Get(name), elements[i], where + "." + name, depth + 1));
      }
    } else {
      if (!value.IsArray()) misfit(value, "an array of " + std::to_string(elements.size()), where);
      const Napi::Array array = value.As<Napi::Array>();
      if (array.Length() != elements.size()) {
        throw Error("ERR_INPUT", where + " must have " + std::to_string(elements.size()) + " elements, not " +
                                     std::to_string(array.Length()) + ".");
      }
      for (uint32_t i = 0; i < array.Length(); ++i) {
        values.push_back(read(array.Get(i), elements[i], where + "[" + std::to_string(i) + "]", depth + 1));
      }
    }
    if (type->schema()) return c10::ivalue::Tuple::createNamed(std::move(values), type);
    return c10::ivalue::Tuple::create(std::move(values));
  }

  static c10::IValue readKey(const std::string& name, const c10::TypePtr& type, const std::string& where) {
    if (type->kind() == c10::TypeKind::StringType) return name;
    try {
      size_t used = 0;
      if (type->kind() == c10::TypeKind::IntType) {
        const int64_t key = std::stoll(name, &used);
        if (used == name.size()) return key;
      }
      if (type->kind() == c10::TypeKind::FloatType) {
        const double key = std::stod(name, &used);
        if (used == name.size()) return key;
      }
    } catch (const std::exception&) {
      // Not a number: refused below.
    }
    throw Error("ERR_INPUT", where + " has the key \"" + name + "\", but its keys must be of type " +
                                 type->annotation_str() + ".");
  }

  c10::IValue readDict(const Napi::Value& value, const c10::DictType& type, const std::string& where,
                       int depth) {
    if (!isRecord(value)) misfit(value, "a record", where);
    const Napi::Object object = value.As<Napi::Object>();
    const Napi::Array names = object.GetPropertyNames();
    c10::impl::GenericDict dict(type.getKeyType(), type.getValueType());
    for (uint32_t i = 0; i < names.Length(); ++i) {
      const std::string name = names.Get(i).ToString();
      dict.insert(readKey(name, type.getKeyType(), where),
                  read(object.Get(name), type.getValueType(), where + "." + name, depth + 1));
    }
    return dict;
  }

  c10::IValue readUnion(const Napi::Value& value, const c10::UnionType& type, const std::string& where,
                        int depth) {
    for (const c10::TypePtr& member : type.containedTypes()) {
      try {
        return read(value, member, where, depth);
      } catch (const Error&) {
        // Not this one.
      } catch (const Napi::Error&) {
      }
    }
    misfit(value, type.annotation_str(), where);
  }

  // Without a type to go by: whole numbers are ints, arrays of tensors are lists, other arrays tuples.
  c10::IValue infer(const Napi::Value& value, const std::string& where, int depth) {
    if (value.IsNull() || value.IsUndefined()) return {};
    if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
    if (value.IsString()) return value.As<Napi::String>().Utf8Value();
    if (value.IsNumber() && !isWhole(value)) return value.As<Napi::Number>().DoubleValue();
    if (value.IsNumber() || value.IsBigInt()) return readInt(value, where);
    if (tryUnwrap<TensorWrap>(value) != nullptr) return readTensor(value, where);
    if (value.IsArray()) {
      const Napi::Array array = value.As<Napi::Array>();
      std::vector<c10::IValue> values;
      bool tensors = array.Length() > 0;
      for (uint32_t i = 0; i < array.Length(); ++i) {
        values.push_back(
            read(array.Get(i), c10::AnyType::get(), where + "[" + std::to_string(i) + "]", depth + 1));
        tensors = tensors && values.back().isTensor();
      }
      if (!tensors) return c10::ivalue::Tuple::create(std::move(values));
      c10::List<at::Tensor> list;
      for (const c10::IValue& item : values) list.push_back(item.toTensor());
      return list;
    }
    if (!isRecord(value)) misfit(value, "a tensor, number, boolean, string, null, array or record", where);
    const Napi::Array names = value.As<Napi::Object>().GetPropertyNames();
    bool tensors = names.Length() > 0;
    for (uint32_t i = 0; i < names.Length(); ++i) {
      tensors = tensors && tryUnwrap<TensorWrap>(value.As<Napi::Object>().Get(names.Get(i))) != nullptr;
    }
    const c10::TypePtr valueType =
        tensors ? c10::TypePtr(c10::TensorType::get()) : c10::TypePtr(c10::AnyType::get());
    return readDict(value, *c10::DictType::create(c10::StringType::get(), valueType), where, depth);
  }
};

std::string describe(const c10::FunctionSchema* schema) {
  return schema == nullptr ? "" : " The module's signature is " + signatureOf(*schema) + ".";
}

}  // namespace

c10::IValue toIValue(const Napi::Value& value, const c10::TypePtr& type, const std::string& where) {
  return ValueReader().read(value, type, where, 0);
}

Inputs toInputs(const c10::FunctionSchema* schema, const Napi::Value& args, const Napi::Value& kwargs) {
  Inputs inputs;
  if (!args.IsArray()) throw Error("ERR_INPUT", "The inputs must be an array.");
  const Napi::Array array = args.As<Napi::Array>();
  uint32_t count = array.Length();
  while (count > 0 && Napi::Value(array.Get(count - 1)).IsUndefined()) --count;
  const size_t known = schema == nullptr ? 0 : schema->arguments().size();
  if (schema != nullptr && count + 1 > known) {
    throw Error("ERR_INPUT", "The module takes at most " + std::to_string(known - 1) + " inputs, but " +
                                 std::to_string(count) + " were given." + describe(schema));
  }
  for (uint32_t i = 0; i < count; ++i) {
    const Napi::Value value = array.Get(i);
    if (schema == nullptr) {
      inputs.args.push_back(toIValue(value, c10::AnyType::get(), "Input " + std::to_string(i)));
      continue;
    }
    const c10::Argument& argument = schema->arguments()[i + 1];
    if (value.IsUndefined() && argument.default_value()) {
      inputs.args.push_back(*argument.default_value());
    } else {
      inputs.args.push_back(
          toIValue(value, argument.type(), "Input " + std::to_string(i) + " (" + argument.name() + ")"));
    }
  }
  if (kwargs.IsNull() || kwargs.IsUndefined()) return inputs;
  if (!isRecord(kwargs)) throw Error("ERR_INPUT", "The keyword arguments must be a record.");
  const Napi::Array names = kwargs.As<Napi::Object>().GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString();
    const Napi::Value value = kwargs.As<Napi::Object>().Get(name);
    if (value.IsUndefined()) continue;
    c10::TypePtr type = c10::AnyType::get();
    if (schema != nullptr) {
      const auto index = schema->argumentIndexWithName(name);
      if (!index || *index == 0)
        throw Error("ERR_INPUT", "There is no input named \"" + name + "\"." + describe(schema));
      type = schema->arguments()[static_cast<size_t>(*index)].type();
    }
    inputs.kwargs.emplace(name, toIValue(value, type, "Input " + name));
  }
  return inputs;
}

Napi::Value toJs(Napi::Env env, const c10::IValue& value) {
  if (value.isNone()) return env.Null();
  if (value.isTensor())
    return value.toTensor().defined() ? TensorWrap::wrap(env, value.toTensor()) : env.Null();
  if (value.isDouble()) return Napi::Number::New(env, value.toDouble());
  if (value.isBool()) return Napi::Boolean::New(env, value.toBool());
  if (value.isString()) return Napi::String::New(env, value.toStringRef());
  if (value.isDevice()) return Napi::String::New(env, value.toDevice().str());
  if (value.isInt()) {
    const int64_t number = value.toInt();
    if (std::abs(static_cast<double>(number)) > kMaxSafe) return Napi::BigInt::New(env, number);
    return Napi::Number::New(env, static_cast<double>(number));
  }
  const auto define = [&](Napi::Object& object, const std::string& name, const c10::IValue& item) {
    // Not Set: a key named __proto__ must stay a key.
    object.DefineProperty(Napi::PropertyDescriptor::Value(name, toJs(env, item), napi_default_jsproperty));
  };
  if (value.isTuple()) {
    const auto& tuple = value.toTupleRef();
    const auto type = tuple.type<c10::TupleType>();
    if (type->schema()) {
      Napi::Object object = Napi::Object::New(env);
      for (size_t i = 0; i < tuple.elements().size(); ++i) {
        define(object, type->schema()->arguments()[i].name(), tuple.elements()[i]);
      }
      return object;
    }
    Napi::Array array = Napi::Array::New(env, tuple.elements().size());
    for (size_t i = 0; i < tuple.elements().size(); ++i) {
      array.Set(static_cast<uint32_t>(i), toJs(env, tuple.elements()[i]));
    }
    return array;
  }
  if (value.isList()) {
    const auto list = value.toListRef();
    Napi::Array array = Napi::Array::New(env, list.size());
    for (size_t i = 0; i < list.size(); ++i) array.Set(static_cast<uint32_t>(i), toJs(env, list[i]));
    return array;
  }
  if (value.isGenericDict()) {
    Napi::Object object = Napi::Object::New(env);
    bool plain = true;
    for (const auto& item : value.toGenericDict()) {
      if (item.key().isString()) {
        define(object, item.key().toStringRef(), item.value());
      } else if (item.key().isInt()) {
        define(object, std::to_string(item.key().toInt()), item.value());
      } else {
        plain = false;
      }
    }
    if (plain) return object;
  }
  throw Error(
      "ERR_OUTPUT",
      "The model returned a " + value.type()->annotation_str() +
          ", which has no JavaScript form; return tensors, numbers, strings, lists, tuples or dicts.");
}

}  // namespace torchsearch::binding

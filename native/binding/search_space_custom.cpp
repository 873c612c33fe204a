// The part of the search space's handle that takes choices of the user's own.
#include <memory>
#include <string>
#include <vector>

#include "binding/job.h"
#include "binding/search_space.h"
#include "binding/tensor.h"
#include "binding/translate.h"

namespace torchsearch::binding {

namespace {

std::string readName(const Napi::Value& value, const char* what) {
  if (!value.IsString()) fail(value.Env(), "ERR_ARGUMENT", std::string(what) + " must be a string.");
  return value.As<Napi::String>();
}

Napi::Array readList(const Napi::Value& value, const char* what) {
  if (!value.IsArray()) fail(value.Env(), "ERR_ARGUMENT", std::string(what) + " must be an array.");
  return value.As<Napi::Array>();
}

const char* typeOf(at::ScalarType type) {
  return type == at::kBool ? "bool" : type == at::kLong ? "int" : "float";
}

// { begins, own, numbers: number[] }
Finish finishAdding(std::shared_ptr<const CustomHyperparameter> added) {
  return [added = std::move(added)](Napi::Env env) -> Napi::Value {
    Napi::Object out = Napi::Object::New(env);
    out.Set("begins", added->begins);
    const auto& constants = added->constants;
    out.Set("own", constants.empty() ? env.Null()
                                     : Napi::Number::New(env, constants.front().number()).As<Napi::Value>());
    Napi::Array numbers = Napi::Array::New(env, added->numbers.size());
    for (uint32_t i = 0; i < added->numbers.size(); ++i) numbers.Set(i, added->numbers[i]);
    out.Set("numbers", numbers);
    return out;
  };
}

}  // namespace

Napi::Value SearchSpaceWrap::constants(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    const std::vector<GraphConstant> all = open(env)->constants();
    Napi::Array out = Napi::Array::New(env, all.size());
    for (uint32_t i = 0; i < all.size(); ++i) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("name", all[i].name);
      item.Set("operator", all[i].op);
      item.Set("argument", all[i].argument);
      item.Set("type", typeOf(all[i].type()));
      item.Set("value", all[i].number());
      out.Set(i, item);
    }
    return out;
  });
}

// (name: string, tensor: string, values: Tensor[], original: boolean, call)
Napi::Value SearchSpaceWrap::addTensors(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    std::vector<at::Tensor> values;
    const Napi::Array list = readList(info[2], "values");
    for (uint32_t i = 0; i < list.Length(); ++i) {
      values.push_back(TensorWrap::of(list.Get(i), "values[" + std::to_string(i) + "]"));
    }
    const auto channels =
        info[3].ToBoolean() ? SearchSpace::Channels::kOriginal : SearchSpace::Channels::kPresent;
    return runJob(env, CallOptions::read(info[4]),
                  [space = open(env), name = readName(info[0], "name"), tensor = readName(info[1], "tensor"),
                   values = std::move(values), channels](const JobContext& context) -> Finish {
                    return finishAdding(space->addTensors(name, tensor, values, channels, context.cancel));
                  });
  });
}

// (name: string, constants: string[], numbers: number[], call)
Napi::Value SearchSpaceWrap::addNumbers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    std::vector<std::string> constants;
    const Napi::Array names = readList(info[1], "constants");
    for (uint32_t i = 0; i < names.Length(); ++i) constants.push_back(readName(names.Get(i), "a constant"));
    std::vector<double> numbers;
    const Napi::Array list = readList(info[2], "values");
    for (uint32_t i = 0; i < list.Length(); ++i) {
      const Napi::Value item = list.Get(i);
      if (!item.IsNumber()) fail(env, "ERR_ARGUMENT", "values must be numbers.");
      numbers.push_back(item.As<Napi::Number>());
    }
    return runJob(env, CallOptions::read(info[3]),
                  [space = open(env), name = readName(info[0], "name"), constants = std::move(constants),
                   numbers = std::move(numbers)](const JobContext& context) -> Finish {
                    return finishAdding(space->addNumbers(name, constants, numbers, context.cancel));
                  });
  });
}

}  // namespace torchsearch::binding

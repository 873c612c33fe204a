// A subnet's recipe as JavaScript's values.
#include <algorithm>

#include "binding/ivalue.h"
#include "binding/job.h"
#include "binding/numbers.h"
#include "binding/search_space.h"
#include "binding/tensor.h"
#include "binding/translate.h"

namespace torchsearch::binding {

namespace {

template <typename Item, typename ToJs>
Napi::Array arrayOf(Napi::Env env, const std::vector<Item>& items, ToJs&& toJs) {
  Napi::Array out = Napi::Array::New(env, items.size());
  for (uint32_t i = 0; i < items.size(); ++i) out.Set(i, toJs(items[i]));
  return out;
}

// Copied at once: there may be hundreds of thousands.
Napi::Value indicesOf(Napi::Env env, const std::vector<int64_t>& indices) {
  Napi::Int32Array out = Napi::Int32Array::New(env, indices.size());
  std::transform(indices.begin(), indices.end(), out.Data(),
                 [](int64_t index) { return static_cast<int32_t>(index); });
  return out;
}

Napi::Object tensorOf(Napi::Env env, const RecipeTensor& tensor) {
  Napi::Object item = Napi::Object::New(env);
  item.Set("name", tensor.name);
  item.Set("shape", numberArray(env, tensor.sizes));
  item.Set("leftOut", tensor.leftOut);
  item.Set("ownValues", tensor.ownValues);
  item.Set("values", tensor.values.defined() ? TensorWrap::wrap(env, tensor.values) : env.Null());
  Napi::Array kept = Napi::Array::New(env);
  for (const auto& [dimension, list] : tensor.kept) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("dimension", static_cast<double>(dimension));
    one.Set("indices", static_cast<double>(list));
    kept.Set(kept.Length(), one);
  }
  item.Set("kept", kept);
  return item;
}

Napi::Object numberOf(Napi::Env env, const RecipeNumber& number) {
  Napi::Object item = Napi::Object::New(env);
  item.Set("module", number.module);
  item.Set("operator", number.operatorName);
  item.Set("argument", number.argument);
  item.Set("whole", static_cast<double>(number.whole));
  item.Set("narrow", static_cast<double>(number.narrow));
  item.Set("place", number.place);
  return item;
}

Napi::Object blockOf(Napi::Env env, const RecipeBlock& block) {
  Napi::Object item = Napi::Object::New(env);
  item.Set("name", block.name);
  item.Set("module", block.module);
  return item;
}

Napi::Object recipeOf(Napi::Env env, const Recipe& recipe) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("indices", arrayOf(env, recipe.indices, [&](const auto& item) { return indicesOf(env, item); }));
  out.Set("tensors", arrayOf(env, recipe.tensors, [&](const auto& item) { return tensorOf(env, item); }));
  out.Set("numbers", arrayOf(env, recipe.numbers, [&](const auto& item) { return numberOf(env, item); }));
  out.Set("blocks", arrayOf(env, recipe.blocks, [&](const auto& item) { return blockOf(env, item); }));
  out.Set("args", arrayOf(env, recipe.inputs.args, [&](const auto& value) { return toJs(env, value); }));
  Napi::Object kwargs = Napi::Object::New(env);
  for (const auto& [name, value] : recipe.inputs.kwargs) kwargs.Set(name, toJs(env, value));
  out.Set("kwargs", kwargs);
  out.Set("patterned", recipe.patterned);
  out.Set("outputShapes",
          arrayOf(env, recipe.outputSizes, [&](const auto& sizes) { return numberArray(env, sizes); }));
  out.Set("outputs", arrayOf(env, recipe.outputSamples,
                             [&](const auto& sample) { return TensorWrap::wrap(env, sample); }));
  return out;
}

}  // namespace

// (call): { tensors, numbers, blocks, args, kwargs, patterned, outputShapes, outputs }
Napi::Value SearchSpaceWrap::recipe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&] {
    return runJob(env, CallOptions::read(info[0]), [space = open(env)](const JobContext&) -> Finish {
      return [recipe = std::make_shared<const Recipe>(space->recipe())](Napi::Env env) -> Napi::Value {
        return recipeOf(env, *recipe);
      };
    });
  });
}

}  // namespace torchsearch::binding

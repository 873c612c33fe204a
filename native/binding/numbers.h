#pragma once

#include <napi.h>

#include <string>
#include <vector>

namespace torchsearch::binding {

// An array of JavaScript numbers.
template <class Number>
Napi::Array numberArray(Napi::Env env, const std::vector<Number>& values) {
  Napi::Array out = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); ++i) out.Set(i, static_cast<double>(values[i]));
  return out;
}

inline Napi::Array textArray(Napi::Env env, const std::vector<std::string>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) array.Set(static_cast<uint32_t>(i), values[i]);
  return array;
}

}  // namespace torchsearch::binding

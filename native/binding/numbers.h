#pragma once

#include <napi.h>

#include <vector>

namespace torchsearch::binding {

// An array of JavaScript numbers.
template <class Number>
Napi::Array numberArray(Napi::Env env, const std::vector<Number>& values) {
  Napi::Array out = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); ++i) out.Set(i, static_cast<double>(values[i]));
  return out;
}

}  // namespace torchsearch::binding

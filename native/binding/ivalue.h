#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <napi.h>

#include <string>

#include "core/call/forwardable.h"

namespace torchsearch::binding {

// A JavaScript value as the TorchScript type says: Tensor, number or bigint (int, float), boolean, string,
// null (None), array (list, tuple), record (dict, named tuple). `where` names the value in ERR_INPUT.
c10::IValue toIValue(const Napi::Value& value, const c10::TypePtr& type, const std::string& where);

// Positional and keyword arguments guided by a method's schema, or by the values alone when it is null. An
// `undefined` argument takes its default.
Inputs toInputs(const c10::FunctionSchema* schema, const Napi::Value& args, const Napi::Value& kwargs);

// A model's output: tuples and lists become arrays; dicts and named tuples, records; None, null.
Napi::Value toJs(Napi::Env env, const c10::IValue& value);

}  // namespace torchsearch::binding

#pragma once

#include <ATen/core/function_schema.h>

#include <string>
#include <vector>

#include "core/call/inputs.h"

namespace torchsearch {

// "forward(x: Tensor, scale: float = 2.0) -> Tensor", without `self`.
std::string signatureOf(const c10::FunctionSchema& schema);

// Fits inputs to a method's schema: one value per argument after `self`, defaults filled in. ERR_INPUT when
// the count, a name or a type does not fit.
std::vector<c10::IValue> bindArguments(const c10::FunctionSchema& schema, const Inputs& inputs);

// The same value with every tensor inside on `device`; the value itself when nothing has to move.
c10::IValue onDevice(const c10::IValue& value, c10::Device device);
Inputs onDevice(const Inputs& inputs, c10::Device device);

}  // namespace torchsearch

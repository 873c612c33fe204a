#include "binding/widths.h"

#include <cmath>
#include <string>

#include "binding/translate.h"

namespace torchsearch::binding {

std::vector<int64_t> readWidths(const Napi::Value& value) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array) {
    const Napi::Int32Array array = value.As<Napi::Int32Array>();
    return {array.Data(), array.Data() + array.ElementLength()};
  }
  if (!value.IsArray()) {
    fail(value.Env(), "ERR_CHOICE", "Widths must be an array of numbers or an Int32Array.");
  }
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<int64_t> widths;
  widths.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    const double width = item.IsNumber() ? item.As<Napi::Number>().DoubleValue() : std::nan("");
    if (!(std::abs(width) <= 9007199254740991) || width != std::floor(width)) {
      fail(value.Env(), "ERR_CHOICE",
           "Width " + std::to_string(i) + " must be a whole number, one of its choices.");
    }
    widths.push_back(static_cast<int64_t>(width));
  }
  return widths;
}

}  // namespace torchsearch::binding

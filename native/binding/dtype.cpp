#include "binding/dtype.h"

#include <array>

namespace torchsearch::binding {
namespace {

constexpr std::array<Dtype, 13> kDtypes{{
    {"bool", c10::kBool, napi_uint8_array, 1},
    {"uint8", c10::kByte, napi_uint8_array, 1},
    {"int8", c10::kChar, napi_int8_array, 1},
    {"int16", c10::kShort, napi_int16_array, 2},
    {"int32", c10::kInt, napi_int32_array, 4},
    {"int64", c10::kLong, napi_bigint64_array, 8},
    {"uint16", c10::kUInt16, napi_uint16_array, 2},
    {"uint32", c10::kUInt32, napi_uint32_array, 4},
    {"uint64", c10::kUInt64, napi_biguint64_array, 8},
    {"float16", c10::kHalf, napi_uint16_array, 2},
    {"bfloat16", c10::kBFloat16, napi_uint16_array, 2},
    {"float32", c10::kFloat, napi_float32_array, 4},
    {"float64", c10::kDouble, napi_float64_array, 8},
}};

}  // namespace

const Dtype* findDtype(const std::string& name) {
  for (const Dtype& dtype : kDtypes) {
    if (name == dtype.name) return &dtype;
  }
  return nullptr;
}

const Dtype* findDtype(c10::ScalarType scalar) {
  for (const Dtype& dtype : kDtypes) {
    if (scalar == dtype.scalar) return &dtype;
  }
  return nullptr;
}

}  // namespace torchsearch::binding

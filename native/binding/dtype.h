#pragma once

#include <c10/core/ScalarType.h>
#include <napi.h>

#include <string>

namespace torchsearch::binding {

// A dtype JavaScript can see. 16-bit floats are seen as their bit patterns.
struct Dtype {
  const char* name;  // PyTorch's, as in "float32"
  c10::ScalarType scalar;
  napi_typedarray_type array;
  size_t size;  // bytes of an element
};

// Null when there is none.
const Dtype* findDtype(const std::string& name);
const Dtype* findDtype(c10::ScalarType scalar);

}  // namespace torchsearch::binding

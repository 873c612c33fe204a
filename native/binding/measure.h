#pragma once

#include <napi.h>

#include <memory>

#include "core/importance/measure.h"

namespace torchsearch::binding {

// The measure behind a handle, of importance or of a reconstruction, that was passed as an argument.
// ERR_INPUT for anything else.
std::shared_ptr<Measure> measureOf(const Napi::Value& value);

}  // namespace torchsearch::binding

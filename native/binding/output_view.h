#pragma once

#include <napi.h>

#include "core/evaluation/score_input.h"

namespace torchsearch::binding {

// { outputKey?: string | null, classDimension?: "second" | "last" | null }
OutputView readOutputView(const Napi::Value& value);

}  // namespace torchsearch::binding

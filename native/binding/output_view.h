#pragma once

#include <napi.h>

#include "core/evaluation/score_input.h"
#include "core/evaluation/teacher_distance.h"

namespace torchsearch::binding {

// { outputKey?: string | null, classDimension?: "second" | "last" | null }
OutputView readOutputView(const Napi::Value& value);

// { kinds?: string[], classDimension?, mask?: number | string }; nothing of it for anything but an object.
TeacherView readTeacherView(const Napi::Value& value);

}  // namespace torchsearch::binding

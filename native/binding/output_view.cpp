#include "binding/output_view.h"

#include <string>

#include "binding/names.h"

namespace torchsearch::binding {

OutputView readOutputView(const Napi::Value& value) {
  OutputView view;
  if (!value.IsObject()) return view;
  const Napi::Object object = value.As<Napi::Object>();
  if (const Napi::Value key = object.Get("outputKey"); key.IsString()) view.key = key.As<Napi::String>();
  if (const Napi::Value classes = object.Get("classDimension"); classes.IsString())
    view.classesLast = classes.As<Napi::String>().Utf8Value() == "last";
  return view;
}

TeacherView readTeacherView(const Napi::Value& value) {
  TeacherView view;
  if (!value.IsObject()) return view;
  const Napi::Object object = value.As<Napi::Object>();
  if (const Napi::Value kinds = object.Get("kinds"); kinds.IsArray()) {
    const auto names = kinds.As<Napi::Array>();
    for (uint32_t i = 0; i < names.Length(); ++i) view.kinds.push_back(readName(kDistances, names.Get(i)));
  }
  view.classesLast = readOutputView(value).classesLast;
  const Napi::Value mask = object.Get("mask");
  if (mask.IsNumber()) view.maskArgument = mask.As<Napi::Number>().Int64Value();
  if (mask.IsString()) view.maskKeyword = mask.As<Napi::String>();
  return view;
}

}  // namespace torchsearch::binding

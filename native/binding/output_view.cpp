#include "binding/output_view.h"

#include <string>

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

}  // namespace torchsearch::binding

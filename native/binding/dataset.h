#pragma once

#include <napi.h>

#include <memory>

#include "core/evaluation/dataset.h"

namespace torchsearch::binding {

class DatasetWrap : public Napi::ObjectWrap<DatasetWrap> {
 public:
  static constexpr const char* kName = "Dataset";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a04, 0x9d0e7a6b5c4d3e04};
  static void define(Napi::Env env, Napi::Object exports);

  explicit DatasetWrap(const Napi::CallbackInfo& info);
  const std::shared_ptr<Dataset>& dataset() const { return dataset_; }

 private:
  static Napi::Value fromTensors(const Napi::CallbackInfo& info);

  Napi::Value batches(const Napi::CallbackInfo& info);
  Napi::Value samples(const Napi::CallbackInfo& info);
  Napi::Value batch(const Napi::CallbackInfo& info);
  Napi::Value closed(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<Dataset> dataset_;
};

}  // namespace torchsearch::binding

#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <memory>
#include <string>

#include "binding/buffers.h"

namespace torchsearch::binding {

// JavaScript's handle of a tensor.
class TensorWrap : public Napi::ObjectWrap<TensorWrap> {
 public:
  static constexpr const char* kName = "Tensor";
  static constexpr napi_type_tag kTag{0x6f1c5f1d3c2b4a02, 0x9d0e7a6b5c4d3e02};
  static void define(Napi::Env env, Napi::Object exports);

  // `owned`: whether the memory is the handle's to report to V8; false for weights, which their module
  // reports.
  static Napi::Value wrap(Napi::Env env, const at::Tensor& tensor, bool owned = true);
  // The tensor of a value that must be a Tensor. `what` names the value in ERR_INPUT and ERR_CLOSED.
  static at::Tensor of(const Napi::Value& value, const std::string& what);

  explicit TensorWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::Env env) override;

 private:
  // What a new handle is made from; passed to the constructor as an external.
  struct Seed {
    at::Tensor tensor;
    std::shared_ptr<BorrowedMemory> borrowed;
    bool owned;
  };

  static Napi::Value from(const Napi::CallbackInfo& info);
  static Napi::Value make(Napi::Env env, Seed seed);

  Napi::Value data(const Napi::CallbackInfo& info);
  Napi::Value shape(const Napi::CallbackInfo& info);
  Napi::Value dtype(const Napi::CallbackInfo& info);
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value closed(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  const at::Tensor& open(Napi::Env env, const std::string& what) const;
  void release(Napi::Env env);

  at::Tensor tensor_;
  std::shared_ptr<BorrowedMemory> borrowed_;
  bool owned_ = true;
  int64_t reported_ = 0;  // bytes V8 was told about
};

}  // namespace torchsearch::binding

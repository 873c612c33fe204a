#include "binding/dataset.h"

#include <vector>

#include "binding/tensor.h"
#include "binding/translate.h"
#include "binding/unwrap.h"

namespace torchsearch::binding {

// new Dataset(tensors: Tensor[], { batchSize, shuffleSeed?, dropLast? }); also Dataset.fromTensors, the same.
void DatasetWrap::define(Napi::Env env, Napi::Object exports) {
  exports.Set(kName, DefineClass(env, kName,
                                 {StaticMethod<&DatasetWrap::fromTensors>("fromTensors"),
                                  InstanceAccessor<&DatasetWrap::batches>("batches"),
                                  InstanceAccessor<&DatasetWrap::samples>("samples"),
                                  InstanceMethod<&DatasetWrap::batch>("batch"),
                                  InstanceAccessor<&DatasetWrap::closed>("closed"),
                                  InstanceMethod<&DatasetWrap::close>("close")}));
}

Napi::Value DatasetWrap::fromTensors(const Napi::CallbackInfo& info) {
  return info.This().As<Napi::Function>().New({info[0], info[1]});
}

DatasetWrap::DatasetWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  guarded(env, [&] {
    if (!info[0].IsArray() || !info[1].IsObject()) {
      fail(env, "ERR_DATASET", "A dataset needs an array of tensors and options with a batchSize.");
    }
    const Napi::Array given = info[0].As<Napi::Array>();
    std::vector<at::Tensor> tensors;
    for (uint32_t i = 0; i < given.Length(); ++i) {
      tensors.push_back(TensorWrap::of(given.Get(i), "Tensor " + std::to_string(i) + " of the dataset"));
    }
    const Napi::Object object = info[1].As<Napi::Object>();
    DatasetOptions options;
    const Napi::Value batchSize = object.Get("batchSize");
    if (!batchSize.IsNumber()) fail(env, "ERR_DATASET", "batchSize must be a whole number of at least 1.");
    options.batchSize = batchSize.As<Napi::Number>().Int64Value();
    if (const Napi::Value seed = object.Get("shuffleSeed"); seed.IsNumber()) {
      options.shuffleSeed = static_cast<uint64_t>(seed.As<Napi::Number>().Int64Value());
    }
    options.dropLast = Napi::Value(object.Get("dropLast")).ToBoolean();
    dataset_ = std::make_shared<Dataset>(std::move(tensors), options);
  });
  tag(info, kTag);
}

Napi::Value DatasetWrap::batches(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(dataset_->batches()));
}

Napi::Value DatasetWrap::samples(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(dataset_->samples()));
}

// (index: number): Tensor[]
Napi::Value DatasetWrap::batch(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsNumber()) fail(info.Env(), "ERR_DATASET", "batch needs the number of a batch.");
    const std::vector<at::Tensor> tensors = dataset_->batch(info[0].As<Napi::Number>().Int64Value());
    Napi::Array out = Napi::Array::New(info.Env(), tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      out.Set(static_cast<uint32_t>(i), TensorWrap::wrap(info.Env(), tensors[i]));
    }
    return out;
  });
}

Napi::Value DatasetWrap::closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), dataset_->closed());
}

Napi::Value DatasetWrap::close(const Napi::CallbackInfo& info) {
  dataset_->close();
  return info.Env().Undefined();
}

}  // namespace torchsearch::binding

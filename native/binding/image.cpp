// Pixels of images. They are prepared on libuv's threads, where they are decoded too, and not on the compute
// thread: no LibTorch operator runs, and the next batch can be made while the model computes.
#include "binding/image.h"

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "binding/tensor.h"
#include "binding/translate.h"
#include "core/image/resample.h"

namespace torchsearch::binding {
namespace {

// Runs `compute` on one of libuv's threads, and then makes the promise's value. `held` stays alive until
// then.
class ImageJob : public Napi::AsyncWorker {
 public:
  using Compute = std::function<void()>;
  using Finish = std::function<Napi::Value(Napi::Env)>;

  static Napi::Promise start(Napi::Env env, Napi::Object held, Compute compute, Finish finish) {
    auto* job =
        new ImageJob(env, held, std::move(compute), std::move(finish));  // deletes itself when it is done
    const Napi::Promise promise = job->deferred_.Promise();
    job->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    try {
      compute_();
    } catch (...) {
      failure_ = describeFailure(std::current_exception(), "ERR_INPUT");
      SetError(failure_.message);
    }
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    try {
      deferred_.Resolve(finish_(Env()));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    }
  }

  void OnError(const Napi::Error&) override {
    const Napi::HandleScope scope(Env());
    deferred_.Reject(makeError(Env(), failure_).Value());
  }

 private:
  ImageJob(Napi::Env env, Napi::Object held, Compute compute, Finish finish)
      : AsyncWorker(env, "torchsearch:image"),
        held_(Napi::Persistent(held)),
        compute_(std::move(compute)),
        finish_(std::move(finish)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::ObjectReference held_;
  Compute compute_;
  Finish finish_;
  Napi::Promise::Deferred deferred_;
  Failure failure_;
};

Napi::Uint8Array bytesOf(const Napi::Value& value, const std::string& what) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    fail(value.Env(), "ERR_INPUT", what + " must be a Uint8Array.");
  return value.As<Napi::Uint8Array>();
}

int64_t numberOf(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) fail(object.Env(), "ERR_INPUT", std::string(key) + " must be a number.");
  return value.As<Napi::Number>().Int64Value();
}

// (pixels: Uint8Array, { width, height, channels, columns, rows, left, top, side, filter }):
// Promise<Uint8Array>
Napi::Value resize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&]() -> Napi::Value {
    const Napi::Uint8Array pixels = bytesOf(info[0], "The pixels");
    if (!info[1].IsObject())
      fail(env, "ERR_INPUT", "resizeAndCrop needs the sizes of the image and the crop.");
    const auto sizes = info[1].As<Napi::Object>();
    const ImageView image{
        pixels.Data(), {numberOf(sizes, "width"), numberOf(sizes, "height")}, numberOf(sizes, "channels")};
    const ImageSize to{numberOf(sizes, "columns"), numberOf(sizes, "rows")};
    const Crop crop{numberOf(sizes, "left"), numberOf(sizes, "top"), numberOf(sizes, "side")};
    const auto name = Napi::Value(sizes.Get("filter")).ToString().Utf8Value();
    if (name != "bilinear" && name != "bicubic") fail(env, "ERR_INPUT", "There is no filter " + name + ".");
    const Filter filter = name == "bilinear" ? Filter::kBilinear : Filter::kBicubic;
    if (static_cast<int64_t>(pixels.ByteLength()) != image.size.width * image.size.height * image.channels)
      fail(env, "ERR_INPUT", "The pixels are not as many as the image's sizes say.");
    const auto result = std::make_shared<std::vector<uint8_t>>();
    return ImageJob::start(
        env, pixels, [=] { *result = resizeAndCrop(image, to, filter, crop); },
        [=](Napi::Env finishing) -> Napi::Value {
          auto out = Napi::Uint8Array::New(finishing, result->size());
          std::copy(result->begin(), result->end(), out.Data());
          return out;
        });
  });
}

// (images: Uint8Array[], side: number, table: Float32Array): Promise<Tensor>, [images, 3, side, side] of
// float32
Napi::Value normalize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return promised(env, [&]() -> Napi::Value {
    if (!info[0].IsArray() || !info[1].IsNumber() || !info[2].IsTypedArray() ||
        info[2].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
      fail(env, "ERR_INPUT", "normalizeImages needs an array of pixels, their side, and a table of floats.");
    const auto images = info[0].As<Napi::Array>();
    const int64_t side = info[1].As<Napi::Number>().Int64Value();
    const auto table = info[2].As<Napi::Float32Array>();
    if (side < 1 || table.ElementLength() != 3 * kLevels)
      fail(env, "ERR_INPUT", "normalizeImages needs a side of at least 1, and 3 x 256 floats.");
    const size_t count = static_cast<size_t>(side) * static_cast<size_t>(side);
    std::vector<const uint8_t*> pixels;
    const Napi::Object held = Napi::Array::New(env, images.Length() + 1);
    held.Set(images.Length(), table);
    for (uint32_t i = 0; i < images.Length(); ++i) {
      const Napi::Uint8Array image = bytesOf(images.Get(i), "An image");
      if (image.ByteLength() != 3 * count)
        fail(env, "ERR_INPUT", "An image has other sizes than its side says.");
      // A list of our own: the caller's may lose what is being read.
      held.Set(i, image);
      pixels.push_back(image.Data());
    }
    const at::Tensor batch = at::empty({static_cast<int64_t>(pixels.size()), 3, side, side}, at::kFloat);
    float* const planes = batch.data_ptr<float>();
    const float* const levels = table.Data();
    return ImageJob::start(
        env, held,
        [=] {
          for (size_t i = 0; i < pixels.size(); ++i)
            normalizePixels(pixels[i], count, levels, planes + 3 * count * i);
        },
        [=](Napi::Env finishing) { return TensorWrap::wrap(finishing, batch); });
  });
}

}  // namespace

void defineImage(Napi::Env env, Napi::Object exports) {
  exports.Set("resizeAndCrop", Napi::Function::New<resize>(env, "resizeAndCrop"));
  exports.Set("normalizeImages", Napi::Function::New<normalize>(env, "normalizeImages"));
}

}  // namespace torchsearch::binding

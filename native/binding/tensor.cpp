#include "binding/tensor.h"

#include <ATen/ops/empty.h>

#include <cstring>
#include <vector>

#include "binding/env_data.h"
#include "binding/translate.h"
#include "binding/unwrap.h"
#include "core/device/exposed_memory.h"

namespace torchsearch::binding {

void TensorWrap::define(Napi::Env env, Napi::Object exports) {
  const Napi::Function constructor = DefineClass(
      env, kName,
      {StaticMethod<&TensorWrap::from>("from"), InstanceMethod<&TensorWrap::data>("data"),
       InstanceMethod<&TensorWrap::close>("close"), InstanceAccessor<&TensorWrap::shape>("shape"),
       InstanceAccessor<&TensorWrap::dtype>("dtype"), InstanceAccessor<&TensorWrap::device>("device"),
       InstanceAccessor<&TensorWrap::closed>("closed")});
  EnvData::of(env).tensor = Napi::Persistent(constructor);
  exports.Set(kName, constructor);
}

TensorWrap::TensorWrap(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsExternal()) fail(info.Env(), "ERR_INPUT", "Make tensors with Tensor.from(...).");
  Seed& seed = *info[0].As<Napi::External<Seed>>().Data();
  tensor_ = std::move(seed.tensor);
  borrowed_ = std::move(seed.borrowed);
  owned_ = seed.owned;
  if (seed.owned && borrowed_ == nullptr) {
    reported_ = static_cast<int64_t>(tensor_.nbytes());
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), reported_);
  }
  tag(info, kTag);
}

void TensorWrap::Finalize(Napi::Env env) {
  release(env);
}

Napi::Value TensorWrap::make(Napi::Env env, Seed seed) {
  return EnvData::of(env).tensor.New({Napi::External<Seed>::New(env, &seed)});
}

Napi::Value TensorWrap::wrap(Napi::Env env, const at::Tensor& tensor, bool owned) {
  return make(env, {tensor, nullptr, owned});
}

at::Tensor TensorWrap::of(const Napi::Value& value, const std::string& what) {
  const TensorWrap& wrap = unwrap<TensorWrap>(value, what);
  return wrap.open(value.Env(), what);
}

const at::Tensor& TensorWrap::open(Napi::Env env, const std::string& what) const {
  if (!tensor_.defined()) fail(env, "ERR_CLOSED", what + " is a closed tensor; make a new one to use it.");
  if (borrowed_ != nullptr && borrowed_->detached()) {
    fail(env, "ERR_CLOSED",
         what + " lost its memory: the ArrayBuffer it was made from was transferred away.");
  }
  return tensor_;
}

// (view: TypedArray, shape: number[], dtype: string)
Napi::Value TensorWrap::from(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    if (!info[0].IsTypedArray() || !info[1].IsArray() || !info[2].IsString()) {
      fail(env, "ERR_INPUT", "Tensor.from needs a typed array, a shape and a dtype.");
    }
    const std::string name = info[2].As<Napi::String>();
    const Dtype* dtype = findDtype(name);
    if (dtype == nullptr)
      fail(env, "ERR_DTYPE", "There is no dtype \"" + name + "\"; use for example \"float32\".");
    const Napi::TypedArray view = info[0].As<Napi::TypedArray>();
    napi_typedarray_type type;
    size_t length = 0;
    size_t offset = 0;
    napi_value base = nullptr;
    NAPI_THROW_IF_FAILED(env, napi_get_typedarray_info(env, view, &type, &length, nullptr, &base, &offset),
                         Napi::Value());
    if (type == napi_uint8_clamped_array) type = napi_uint8_array;
    if (type != dtype->array)
      fail(env, "ERR_DTYPE", "This typed array does not hold elements of dtype " + name + ".");

    const Napi::Value owner(env, base);
    if (!owner.IsArrayBuffer()) {
      fail(env, "ERR_INPUT",
           "Tensor.from needs a typed array over an ArrayBuffer; copy shared memory first.");
    }
    if (owner.As<Napi::ArrayBuffer>().IsDetached()) {
      fail(
          env, "ERR_CLOSED",
          "The typed array lost its memory: its ArrayBuffer was transferred away. Make the tensor before, or "
          "where the memory went.");
    }

    const Napi::Array sizes = info[1].As<Napi::Array>();
    std::vector<int64_t> shape;
    uint64_t count = 1;
    for (uint32_t i = 0; i < sizes.Length(); ++i) {
      const Napi::Value size = sizes.Get(i);
      const double number = size.IsNumber() ? size.As<Napi::Number>().DoubleValue() : -1;
      if (number < 0 || number > 9007199254740991.0 ||
          number != static_cast<double>(static_cast<int64_t>(number))) {
        fail(env, "ERR_SHAPE",
             "A shape holds whole numbers, 0 or larger; dimension " + std::to_string(i) + " is not.");
      }
      shape.push_back(static_cast<int64_t>(number));
      if (__builtin_mul_overflow(count, static_cast<uint64_t>(shape.back()), &count)) {
        fail(env, "ERR_SHAPE", "This shape has too many elements.");
      }
    }
    if (count != length) {
      fail(env, "ERR_SHAPE",
           "The shape needs " + std::to_string(count) + " elements, but the array has " +
               std::to_string(length) + ".");
    }
    if (length == 0) return make(env, {at::empty(shape, dtype->scalar), nullptr, true});
    const auto buffer = owner.As<Napi::ArrayBuffer>();
    auto borrowed = BorrowedMemory::take(env, buffer, offset);
    at::Tensor tensor =
        borrowed != nullptr ? tensorOver(borrowed, shape, *dtype) : at::empty(shape, dtype->scalar);
    if (borrowed == nullptr) {
      const auto* bytes = static_cast<const uint8_t*>(Napi::ArrayBuffer(buffer).Data()) + offset;
      std::memcpy(tensor.mutable_data_ptr(), bytes, length * dtype->size);
    }
    return make(env, {std::move(tensor), std::move(borrowed), true});
  });
}

Napi::Value TensorWrap::data(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const at::Tensor& tensor = open(info.Env(), "This");
    const Dtype* dtype = findDtype(tensor.scalar_type());
    if (dtype == nullptr || tensor.layout() != c10::kStrided) {
      fail(info.Env(), "ERR_DTYPE",
           std::string("A tensor of dtype ") + c10::toString(tensor.scalar_type()) +
               " and its layout cannot be read as a typed array; convert it inside the model.");
    }
    if (!owned_) exposeMemory(tensor);
    return typedArrayOf(info.Env(), tensor, *dtype);
  });
}

Napi::Value TensorWrap::shape(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const at::Tensor& tensor = open(info.Env(), "This");
    Napi::Array shape = Napi::Array::New(info.Env(), static_cast<size_t>(tensor.dim()));
    for (int64_t i = 0; i < tensor.dim(); ++i) {
      shape.Set(static_cast<uint32_t>(i), static_cast<double>(tensor.size(i)));
    }
    return shape;
  });
}

Napi::Value TensorWrap::dtype(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const at::ScalarType scalar = open(info.Env(), "This").scalar_type();
    const Dtype* dtype = findDtype(scalar);
    return Napi::String::New(info.Env(), dtype != nullptr ? dtype->name : c10::toString(scalar));
  });
}

Napi::Value TensorWrap::device(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return Napi::String::New(info.Env(), open(info.Env(), "This").device().str());
  });
}

Napi::Value TensorWrap::closed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), !tensor_.defined());
}

Napi::Value TensorWrap::close(const Napi::CallbackInfo& info) {
  release(info.Env());
  return info.Env().Undefined();
}

void TensorWrap::release(Napi::Env env) {
  if (reported_ != 0) Napi::MemoryManagement::AdjustExternalMemory(env, -reported_);
  reported_ = 0;
  tensor_.reset();
  borrowed_.reset();
}

}  // namespace torchsearch::binding

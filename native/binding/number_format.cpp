#include "binding/number_format.h"

#include <string>

#include "binding/names.h"
#include "binding/translate.h"

namespace torchsearch::binding {

namespace {

double numberWithin(const Napi::Object& object, const char* key, double low, double high) {
  const Napi::Value value = object.Get(key);
  const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : low - 1;
  if (given >= low && given <= high) return given;
  fail(object.Env(), "ERR_CONFIG_VALUE",
       std::string(key) + " of a number format must be a number from " + std::to_string(low) + " to " +
           std::to_string(high) + ".");
}

}  // namespace

NumberFormat readNumberFormat(const Napi::Value& value) {
  if (!value.IsObject()) fail(value.Env(), "ERR_CONFIG_VALUE", "A number format must be an object.");
  const Napi::Object object = value.As<Napi::Object>();
  NumberFormat format;
  format.type = readName(kNumberTypes, object.Get("type"));
  format.bits = static_cast<int64_t>(numberWithin(object, "bits", 2, 16));
  format.symmetric = Napi::Value(object.Get("symmetric")).ToBoolean();
  format.granularity = readName(kGranularities, object.Get("granularity"));
  if (format.granularity == Granularity::kBlock) {
    format.blockSize = static_cast<int64_t>(numberWithin(object, "blockSize", 1, 1 << 30));
    if (!format.isInt()) {
      fail(value.Env(), "ERR_CONFIG_VALUE", "Blocks with scales of their own are for integers.");
    }
  }
  format.calibration = readName(kCalibrations, object.Get("calibration"));
  if (format.calibration == Calibration::kPercentile) {
    format.percentile = numberWithin(object, "percentile", 50, 100);
  }
  return format;
}

LayerFormat readLayerFormat(const Napi::Value& value) {
  if (!value.IsObject()) fail(value.Env(), "ERR_CONFIG_VALUE", "A layer's format must be an object.");
  const Napi::Object object = value.As<Napi::Object>();
  LayerFormat format;
  format.name = Napi::Value(object.Get("name")).ToString();
  if (const Napi::Value weight = object.Get("weight"); weight.IsObject()) {
    format.weight = readNumberFormat(weight);
  }
  if (const Napi::Value activation = object.Get("activation"); activation.IsObject()) {
    format.activation = readNumberFormat(activation);
    if (format.activation->granularity != Granularity::kTensor) {
      fail(value.Env(), "ERR_CONFIG_VALUE", "Activations have one scale a tensor.");
    }
  }
  return format;
}

}  // namespace torchsearch::binding

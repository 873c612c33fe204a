#pragma once

#include <napi.h>

#include "core/quantization/number_format.h"

namespace torchsearch::binding {

// { type, bits, symmetric, granularity, blockSize, calibration, percentile }; ERR_CONFIG_VALUE.
NumberFormat readNumberFormat(const Napi::Value& value);

// { name, weight: format or null, activation: format or null }
LayerFormat readLayerFormat(const Napi::Value& value);

}  // namespace torchsearch::binding

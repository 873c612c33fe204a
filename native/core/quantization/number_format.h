#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace torchsearch {

enum class NumberType : uint8_t {
  kInt,   // whole numbers of `bits` bits
  kE4M3,  // 8-bit floats of 4 exponent and 3 mantissa bits, without infinities (OCP FP8, 2023)
  kE5M2,  // 8-bit floats of 5 exponent and 2 mantissa bits
};

// What shares a scale.
enum class Granularity : uint8_t { kTensor, kChannel, kBlock };

// How the range of values that a scale must reach is found.
enum class Calibration : uint8_t {
  kMax,               // the smallest and the largest value
  kPercentile,        // quantiles, so that a few outliers are cut off
  kMeanSquaredError,  // the share of the full range with the smallest mean squared error
};

// How the numbers of one tensor are stored.
struct NumberFormat {
  NumberType type = NumberType::kInt;
  int64_t bits = 8;       // of kInt: 2 to 16; of the others 8
  bool symmetric = true;  // of kInt: zero is 0; else a zero point moves the range
  Granularity granularity = Granularity::kTensor;
  int64_t blockSize = 0;  // of kBlock: consecutive elements of a channel that share a scale
  Calibration calibration = Calibration::kMax;
  double percentile = 99.99;  // of kPercentile: above 50, at most 100

  bool isInt() const { return type == NumberType::kInt; }
  bool hasZeroPoint() const { return isInt() && !symmetric; }
  // The whole numbers that kInt can hold.
  int64_t lowest() const { return symmetric ? -(int64_t{1} << (bits - 1)) : 0; }
  int64_t highest() const { return symmetric ? (int64_t{1} << (bits - 1)) - 1 : (int64_t{1} << bits) - 1; }
  // The largest finite magnitude of a float type.
  double limit() const { return type == NumberType::kE5M2 ? 57344 : 448; }
};

// How a layer computes: what its weights and the activations it reads are rounded to. Neither: as it was.
struct LayerFormat {
  std::string name;
  std::optional<NumberFormat> weight;
  std::optional<NumberFormat> activation;
};

}  // namespace torchsearch

#include "core/image/resample.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"

namespace torchsearch {
namespace {

// 8 bits of a pixel, and 2 for sums that overshoot (bicubic weights are negative in places), are left of 32.
constexpr int kPrecision = 32 - 8 - 2;

// The source pixels that make up an output pixel: `count` from `first` on, with weights at `weights`.
struct Taps {
  int64_t first;
  int64_t count;
  size_t weights;
};

struct Kernel {
  std::vector<Taps> taps;  // one an output pixel
  std::vector<int32_t> weights;
};

double support(Filter filter) {
  return filter == Filter::kBilinear ? 1.0 : 2.0;
}

double weightAt(Filter filter, double x) {
  x = std::abs(x);
  if (filter == Filter::kBilinear) return x < 1.0 ? 1.0 - x : 0.0;
  constexpr double a = -0.5;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

// Of output pixels `from` to `from + count` of `to`.
Kernel kernelOf(Filter filter, int64_t source, int64_t to, int64_t from, int64_t count) {
  const double scale = static_cast<double>(source) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0);
  const double reach = support(filter) * stretch;
  Kernel kernel;
  kernel.taps.reserve(count);
  std::vector<double> exact;
  for (int64_t i = 0; i < count; ++i) {
    const double center = (static_cast<double>(from + i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - reach + 0.5));
    const int64_t end = std::min(source, static_cast<int64_t>(center + reach + 0.5));
    exact.clear();
    double sum = 0;
    for (int64_t at = first; at < end; ++at) {
      const double weight = weightAt(filter, (static_cast<double>(at) - center + 0.5) * (1.0 / stretch));
      exact.push_back(weight);
      sum += weight;
    }
    kernel.taps.push_back({first, end - first, kernel.weights.size()});
    for (double weight : exact) {
      if (sum != 0) weight /= sum;
      kernel.weights.push_back(static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kPrecision)));
    }
  }
  return kernel;
}

constexpr int32_t kHalf = 1 << (kPrecision - 1);

uint8_t rounded(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kPrecision, 0, 255));
}

// One row of `kernel.taps.size()` pixels.
template <int Channels>
void resizeRow(const uint8_t* row, const Kernel& kernel, uint8_t* out) {
  for (const Taps& taps : kernel.taps) {
    const int32_t* weights = kernel.weights.data() + taps.weights;
    const uint8_t* pixel = row + taps.first * Channels;
    int32_t sums[Channels];
    std::fill_n(sums, Channels, kHalf);
    for (int64_t tap = 0; tap < taps.count; ++tap, pixel += Channels) {
      for (int channel = 0; channel < Channels; ++channel) sums[channel] += pixel[channel] * weights[tap];
    }
    for (int channel = 0; channel < Channels; ++channel) *out++ = rounded(sums[channel]);
  }
}

void check(const ImageView& image, const ImageSize& to, const Crop& crop) {
  if (image.channels != 1 && image.channels != 3)
    throw Error("ERR_INPUT", "An image has 1 or 3 channels, not " + std::to_string(image.channels) + ".");
  if (image.size.width < 1 || image.size.height < 1 || to.width < 1 || to.height < 1 || crop.side < 1)
    throw Error("ERR_INPUT", "Images and crops are at least one pixel wide and high.");
  if (crop.left < 0 || crop.top < 0 || crop.left + crop.side > to.width || crop.top + crop.side > to.height)
    throw Error("ERR_INPUT", "The crop reaches beyond the resized image: crop less, or resize to more.");
}

template <int Channels>
std::vector<uint8_t> resizeAndCropOf(const ImageView& image, ImageSize to, Filter filter, const Crop& crop) {
  const size_t width = static_cast<size_t>(crop.side) * Channels;
  const size_t sourceWidth = static_cast<size_t>(image.size.width) * Channels;

  // Along rows: the rows that the crop's own depend on. A side that keeps its length is not filtered.
  const bool shorter = to.height != image.size.height;
  const Kernel vertical =
      shorter ? kernelOf(filter, image.size.height, to.height, crop.top, crop.side) : Kernel{};
  const int64_t firstRow = shorter ? vertical.taps.front().first : crop.top;
  const int64_t rows =
      shorter ? vertical.taps.back().first + vertical.taps.back().count - firstRow : crop.side;
  std::vector<uint8_t> narrow(static_cast<size_t>(rows) * width);
  const bool same = to.width == image.size.width;
  const Kernel horizontal =
      same ? Kernel{} : kernelOf(filter, image.size.width, to.width, crop.left, crop.side);
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t* from = image.pixels + static_cast<size_t>(firstRow + row) * sourceWidth;
    uint8_t* into = narrow.data() + static_cast<size_t>(row) * width;
    if (same) {
      std::copy_n(from + crop.left * Channels, width, into);
    } else {
      resizeRow<Channels>(from, horizontal, into);
    }
  }
  if (!shorter) return narrow;

  // Along columns, a row of sums at a time.
  std::vector<uint8_t> out(static_cast<size_t>(crop.side) * width);
  std::vector<int32_t> sums(width);
  for (int64_t row = 0; row < crop.side; ++row) {
    const Taps& taps = vertical.taps[row];
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int64_t tap = 0; tap < taps.count; ++tap) {
      const int32_t weight = vertical.weights[taps.weights + tap];
      const uint8_t* from = narrow.data() + static_cast<size_t>(taps.first - firstRow + tap) * width;
      for (size_t i = 0; i < width; ++i) sums[i] += from[i] * weight;
    }
    std::transform(sums.begin(), sums.end(), out.begin() + static_cast<size_t>(row) * width, rounded);
  }
  return out;
}

std::vector<uint8_t> spread(const std::vector<uint8_t>& grey) {
  std::vector<uint8_t> colors;
  colors.reserve(3 * grey.size());
  for (const uint8_t level : grey) colors.insert(colors.end(), 3, level);
  return colors;
}

}  // namespace

std::vector<uint8_t> resizeAndCrop(const ImageView& image, ImageSize to, Filter filter, const Crop& crop) {
  check(image, to, crop);
  if (image.channels == 3) return resizeAndCropOf<3>(image, to, filter, crop);
  return spread(resizeAndCropOf<1>(image, to, filter, crop));
}

void normalizePixels(const uint8_t* pixels, size_t count, const float* table, float* planes) {
  float* red = planes;
  float* green = red + count;
  float* blue = green + count;
  for (size_t i = 0; i < count; ++i, pixels += 3) {
    red[i] = table[pixels[0]];
    green[i] = table[kLevels + pixels[1]];
    blue[i] = table[2 * kLevels + pixels[2]];
  }
}

}  // namespace torchsearch

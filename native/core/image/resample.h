#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace torchsearch {

enum class Filter { kBilinear, kBicubic };

struct ImageSize {
  int64_t width;
  int64_t height;
};

// Pixels of a decoded image, row by row, the channels of a pixel side by side. Not owned.
struct ImageView {
  const uint8_t* pixels;
  ImageSize size;
  int64_t channels;  // 1 (grey) or 3
};

// A square of the resized image.
struct Crop {
  int64_t left;
  int64_t top;
  int64_t side;
};

// Resizes an image and gives a crop of the result, [side, side, 3]; of grey images all three channels are the
// same.
//
// Bit for bit what Pillow's Image.resize gives, which is what torchvision's Resize calls: each output pixel
// is a weighted mean over the filter's support, which is as many source pixels wide as the image shrinks
// (antialiasing), and at least one (two for bicubic, with a = -0.5) on either side; first along rows, then
// along columns, both times rounded to 8 bits, with weights of 22 fractional bits. Only what the crop shows
// is computed.
//
// Throws ERR_INPUT when sizes are not positive, the channels are neither 1 nor 3, or the crop reaches beyond
// `to`.
std::vector<uint8_t> resizeAndCrop(const ImageView& image, ImageSize to, Filter filter, const Crop& crop);

// What a level of a channel becomes: 3 x 256, of red, green and blue.
constexpr size_t kLevels = 256;

// Turns `count` pixels, [count, 3], into planes, [3, count], level by level.
void normalizePixels(const uint8_t* pixels, size_t count, const float* table, float* planes);

}  // namespace torchsearch

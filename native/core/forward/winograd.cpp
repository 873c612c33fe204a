#include "core/forward/winograd.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace torchsearch {
namespace {

constexpr int64_t kPositions = 36;  // of a transformed tile, 6 x 6
constexpr int64_t kTile = 4;        // pixels of output, in each direction
constexpr int64_t kChunk = 64;      // input channels that lie together
constexpr float kRoot = 1.41421356237309504880F;
constexpr float kHalfRoot = 0.70710678118654752440F;

struct TileOutput {
  int64_t channels = 0;
  const float* bias = nullptr;
  float low = 0;
  float high = 0;
  std::array<float*, kTile * kTile> pixels = {};       // null outside of the image
  std::array<const float*, kTile * kTile> added = {};  // null where nothing is
};

struct WinogradKernels {
  int64_t block;  // output channels that lie together
  void (*transformInput)(const float* const* pixels, int64_t channels, float* to, int64_t plane,
                         int64_t chunkStep);
  void (*multiplyTiles)(const float* input, int64_t chunkStep, int64_t tiles, const float* weights,
                        int64_t channels, float* to);
  void (*transformOutput)(const float* from, int64_t plane, int64_t blockStep, const TileOutput& output);
  void (*transformWeights)(const float* from, int64_t inputs, int64_t outputs, float* to);
};

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define TORCHSEARCH_WINOGRAD 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {
constexpr int64_t kLanes = 8;
constexpr int64_t kRows = 6;
#include "core/forward/winograd_kernels.inc"
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,prefer-vector-width=512")
#endif
namespace avx512 {
constexpr int64_t kLanes = 16;
constexpr int64_t kRows = 12;
#include "core/forward/winograd_kernels.inc"
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

// Null where there are none for this processor.
const WinogradKernels* kernels() {
#ifdef TORCHSEARCH_WINOGRAD
  static const WinogradKernels* const found = []() -> const WinogradKernels* {
    if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
        __builtin_cpu_supports("avx512dq") != 0) {
      return &avx512::kKernels;
    }
    if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) return &avx2::kKernels;
    return nullptr;
  }();
  return found;
#else
  return nullptr;
#endif
}

int64_t tilesOf(int64_t pixels) {
  return (pixels + kTile - 1) / kTile;
}

struct Geometry {
  int64_t inputs = 0, outputs = 0;
  int64_t height = 0, width = 0;  // of the input
  int64_t outHeight = 0, outWidth = 0;
  int64_t padding = 0;
  int64_t rows = 0, columns = 0;  // of tiles in an image
};

Geometry geometryOf(const at::Tensor& input, int64_t outputs, int64_t padding) {
  Geometry of;
  of.inputs = input.size(1);
  of.outputs = outputs;
  of.height = input.size(2);
  of.width = input.size(3);
  of.padding = padding;
  of.outHeight = of.height + 2 * padding - 2;
  of.outWidth = of.width + 2 * padding - 2;
  of.rows = tilesOf(of.outHeight);
  of.columns = tilesOf(of.outWidth);
  return of;
}

// Memory of the calling thread, kept, since fresh memory would have to be mapped page by page at each call.
float* scratchOf(int64_t floats) {
  static thread_local std::vector<float> scratch;
  if (scratch.size() < static_cast<size_t>(floats)) scratch.resize(static_cast<size_t>(floats));
  return scratch.data();
}

// Pixels of the input under a tile; those outside of the image are `zeros`.
std::array<const float*, kPositions> pixelsOf(const Geometry& of, const float* input, const float* zeros,
                                              int64_t tile) {
  const int64_t image = tile / (of.rows * of.columns);
  const int64_t top = tile / of.columns % of.rows * kTile - of.padding;
  const int64_t left = tile % of.columns * kTile - of.padding;
  std::array<const float*, kPositions> pixels;
  for (int64_t i = 0; i < kPositions; ++i) {
    const int64_t y = top + i / 6;
    const int64_t x = left + i % 6;
    const bool inside = y >= 0 && y < of.height && x >= 0 && x < of.width;
    pixels[i] = inside ? input + ((image * of.height + y) * of.width + x) * of.inputs : zeros;
  }
  return pixels;
}

void pointTo(TileOutput& output, const Geometry& of, float* result, const float* added, int64_t tile) {
  const int64_t image = tile / (of.rows * of.columns);
  const int64_t top = tile / of.columns % of.rows * kTile;
  const int64_t left = tile % of.columns * kTile;
  for (int64_t i = 0; i < kTile * kTile; ++i) {
    const int64_t y = top + i / kTile;
    const int64_t x = left + i % kTile;
    const int64_t at = ((image * of.outHeight + y) * of.outWidth + x) * of.outputs;
    const bool inside = y < of.outHeight && x < of.outWidth;
    output.pixels[i] = inside ? result + at : nullptr;
    output.added[i] = inside && added != nullptr ? added + at : nullptr;
  }
}

// What products of so many tiles take should stay in a core's own cache.
int64_t tilesAtOnce(const Geometry& of, int64_t tiles) {
  constexpr int64_t kFloats = 5 << 16;
  const int64_t own = kFloats / (kPositions * (of.inputs + of.outputs));
  const int64_t rounded = std::clamp<int64_t>(own / 12 * 12, 24, 96);
  return std::min(tiles, rounded * at::get_num_threads());
}

}  // namespace

bool hasWinograd() {
  return kernels() != nullptr;
}

bool winogradPays(int64_t batch, int64_t inputs, int64_t outputs, int64_t height, int64_t width) {
  const int64_t tiles = batch * tilesOf(height) * tilesOf(width);
  const bool saves = tiles * kPositions * 2 <= batch * height * width * 9;  // half of the multiplications
  return inputs >= 32 && outputs >= 32 && inputs * outputs <= 1 << 17 && tiles >= 12 && saves;
}

at::Tensor packWinograd(const at::Tensor& weight) {
  const auto& with = *kernels();
  const int64_t outputs = weight.size(0);
  const int64_t inputs = weight.size(1);
  const int64_t blocks = (outputs + with.block - 1) / with.block;
  const at::Tensor source = weight.permute({2, 3, 1, 0}).contiguous();
  at::Tensor packed = at::empty({kPositions, blocks, inputs, with.block}, weight.options());
  with.transformWeights(source.const_data_ptr<float>(), inputs, outputs, packed.mutable_data_ptr<float>());
  return packed;
}

at::Tensor winogradConvolution(const at::Tensor& input, const at::Tensor& packed, const at::Tensor& bias,
                               const at::Tensor& other, const WinogradArguments& arguments) {
  constexpr auto kLast = at::MemoryFormat::ChannelsLast;
  const auto& with = *kernels();
  const at::Tensor source = input.contiguous(kLast);
  const at::Tensor added = other.defined() ? other.contiguous(kLast) : at::Tensor();
  const Geometry of = geometryOf(source, bias.size(0), arguments.padding);
  at::Tensor result = at::empty({source.size(0), of.outputs, of.outHeight, of.outWidth},
                                source.options().memory_format(kLast));
  const float* from = source.const_data_ptr<float>();
  const float* weights = packed.const_data_ptr<float>();
  const float* extra = added.defined() ? added.const_data_ptr<float>() : nullptr;
  float* to = result.mutable_data_ptr<float>();

  const int64_t tiles = source.size(0) * of.rows * of.columns;
  const int64_t most = tilesAtOnce(of, tiles);
  const int64_t chunks = (of.inputs + kChunk - 1) / kChunk;
  const int64_t blocks = packed.size(1);
  const int64_t inputFloats = kPositions * chunks * kChunk * most;
  const int64_t productFloats = kPositions * blocks * with.block * most;
  float* const transformed = scratchOf(inputFloats + productFloats + of.inputs);
  float* const products = transformed + inputFloats;
  float* const zeros = products + productFloats;
  std::fill_n(zeros, of.inputs, 0.0F);

  for (int64_t first = 0; first < tiles; first += most) {
    const int64_t count = std::min(most, tiles - first);
    const int64_t chunkStep = count * kChunk;
    const int64_t inputPlane = chunks * chunkStep;
    const int64_t blockStep = count * with.block;
    const int64_t productPlane = blocks * blockStep;
    at::parallel_for(0, count, 4, [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        const auto pixels = pixelsOf(of, from, zeros, first + tile);
        with.transformInput(pixels.data(), of.inputs, transformed + tile * kChunk, inputPlane, chunkStep);
      }
    });
    at::parallel_for(0, kPositions * blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        with.multiplyTiles(transformed + part / blocks * inputPlane, chunkStep, count,
                           weights + part * of.inputs * with.block, of.inputs, products + part * blockStep);
      }
    });
    at::parallel_for(0, count, 4, [&](int64_t begin, int64_t end) {
      TileOutput output;
      output.channels = of.outputs;
      output.bias = bias.const_data_ptr<float>();
      output.low = arguments.low;
      output.high = arguments.high;
      for (int64_t tile = begin; tile < end; ++tile) {
        pointTo(output, of, to, extra, first + tile);
        with.transformOutput(products + tile * with.block, productPlane, blockStep, output);
      }
    });
  }
  return result;
}

}  // namespace torchsearch

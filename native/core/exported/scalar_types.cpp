#include "core/exported/scalar_types.h"

#include <array>
#include <utility>

#include "core/exported/json.h"

namespace torchsearch::exported {
namespace {

constexpr std::array<std::pair<int64_t, at::ScalarType>, 18> kScalarTypes{{{1, at::kByte},
                                                                           {2, at::kChar},
                                                                           {3, at::kShort},
                                                                           {4, at::kInt},
                                                                           {5, at::kLong},
                                                                           {6, at::kHalf},
                                                                           {7, at::kFloat},
                                                                           {8, at::kDouble},
                                                                           {9, at::kComplexHalf},
                                                                           {10, at::kComplexFloat},
                                                                           {11, at::kComplexDouble},
                                                                           {12, at::kBool},
                                                                           {13, at::kBFloat16},
                                                                           {28, at::kUInt16},
                                                                           {29, at::kFloat8_e4m3fn},
                                                                           {30, at::kFloat8_e5m2},
                                                                           {34, at::kUInt32},
                                                                           {35, at::kUInt64}}};
constexpr int64_t kLastLayout = 7;

}  // namespace

at::ScalarType scalarTypeOf(int64_t number) {
  for (const auto& [known, type] : kScalarTypes) {
    if (known == number) return type;
  }
  refuseFeature("a tensor of the dtype with the number " + std::to_string(number),
                "export it with dtypes such as float32, float16, bfloat16 or int64.");
}

int64_t numberOf(at::ScalarType type) {
  for (const auto& [number, known] : kScalarTypes) {
    if (known == type) return number;
  }
  refuseWriting(std::string("a tensor of the dtype ") + c10::toString(type), "Save it as TorchScript.");
}

int64_t numberOf(at::MemoryFormat format) {
  switch (format) {
    case at::MemoryFormat::Contiguous:
      return 1;
    case at::MemoryFormat::ChannelsLast:
      return 2;
    case at::MemoryFormat::ChannelsLast3d:
      return 3;
    default:
      return 4;
  }
}

at::Layout layoutOf(int64_t number) {
  if (number == kStridedLayout) return at::kStrided;
  if (number < 0 || number > kLastLayout) refuseProgram("a tensor's layout does not exist");
  refuseFeature("a tensor that is not strided (sparse, or of oneDNN)", "make it dense and export again.");
}

at::MemoryFormat memoryFormatOf(int64_t number) {
  switch (number) {
    case 1:
      return at::MemoryFormat::Contiguous;
    case 2:
      return at::MemoryFormat::ChannelsLast;
    case 3:
      return at::MemoryFormat::ChannelsLast3d;
    case 4:
      return at::MemoryFormat::Preserve;
    default:
      refuseProgram("a memory format does not exist");
  }
}

}  // namespace torchsearch::exported

#include "core/layers/convolution_windows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

namespace torchsearch {

namespace {

// A list of one number stands for all dimensions.
std::vector<int64_t> spread(std::vector<int64_t> values, size_t rank) {
  if (values.size() == 1) values.resize(rank, values.front());
  return values;
}

}  // namespace

ConvolutionArguments readConvolution(const c10::FunctionSchema& schema,
                                     const std::vector<c10::IValue>& arguments, const at::Tensor& weight) {
  const auto rank = static_cast<size_t>(weight.dim() - 2);
  const auto argument = [&](const char* name) -> const c10::IValue* {
    const auto index = schema.argumentIndexWithName(name);
    return index.has_value() ? &arguments.at(*index) : nullptr;
  };
  ConvolutionArguments result;
  result.stride = spread(argument("stride")->toIntVector(), rank);
  result.dilation = spread(argument("dilation")->toIntVector(), rank);
  result.groups = argument("groups")->toInt();
  if (const auto* transposed = argument("transposed")) result.transposed = transposed->toBool();
  const c10::IValue& padding = *argument("padding");
  if (padding.isString()) {
    for (size_t d = 0; d < rank; ++d) {
      const int64_t reach = result.dilation[d] * (weight.size(static_cast<int64_t>(d) + 2) - 1);
      const int64_t total = padding.toStringRef() == "same" ? reach : 0;
      result.before.push_back(total / 2);
      result.after.push_back(total - total / 2);
    }
  } else {
    result.before = result.after = spread(padding.toIntVector(), rank);
  }
  return result;
}

void forEachWindowMatrix(const at::Tensor& input, const at::Tensor& weight,
                         const ConvolutionArguments& convolution, int64_t bytes,
                         const std::function<void(const at::Tensor&)>& visit) {
  const int64_t rank = weight.dim() - 2;
  at::Tensor windows = input.dim() == weight.dim() ? input : input.unsqueeze(0);
  std::vector<int64_t> padding;  // from the last dimension on
  for (int64_t d = rank - 1; d >= 0; --d) {
    padding.push_back(convolution.before[d]);
    padding.push_back(convolution.after[d]);
  }
  if (std::any_of(padding.begin(), padding.end(), [](int64_t zeros) { return zeros != 0; })) {
    windows = at::constant_pad_nd(windows, padding);
  }
  int64_t columns = weight.size(1);
  for (int64_t d = 0; d < rank; ++d) {
    const int64_t kernel = weight.size(d + 2);
    const int64_t dilation = convolution.dilation[d];
    windows = windows.unfold(d + 2, dilation * (kernel - 1) + 1, convolution.stride[d]);
    if (dilation > 1) windows = windows.slice(-1, 0, c10::nullopt, dilation);
    columns *= kernel;
  }
  // [samples, channels, positions..., kernel...] -> [groups, samples, positions..., kernel..., channels /
  // groups]
  windows = windows.unflatten(1, {convolution.groups, weight.size(1)});
  std::vector<int64_t> order{1, 0};
  for (int64_t d = 0; d < 2 * rank; ++d) order.push_back(d + 3);
  order.push_back(2);
  windows = windows.permute(order);
  const auto give = [&](const at::Tensor& part) {
    visit(part.to(at::kDouble).reshape({convolution.groups, -1, columns}));
  };
  const int64_t samples = windows.size(1);
  if (samples == 0 || windows.numel() == 0) return;
  const int64_t sampleBytes = windows.numel() / samples * 8;
  if (rank == 0 || sampleBytes <= bytes) {
    const int64_t step = std::max<int64_t>(1, bytes / std::max<int64_t>(1, sampleBytes));
    for (int64_t i = 0; i < samples; i += step) give(windows.narrow(1, i, std::min(step, samples - i)));
    return;
  }
  const int64_t lines = windows.size(2);
  const int64_t step = std::max<int64_t>(1, bytes / std::max<int64_t>(1, sampleBytes / lines));
  for (int64_t i = 0; i < samples; ++i) {
    for (int64_t j = 0; j < lines; j += step) {
      give(windows.narrow(1, i, 1).narrow(2, j, std::min(step, lines - j)));
    }
  }
}

}  // namespace torchsearch

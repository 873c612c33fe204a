#include "core/layers/input_products.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/layers/convolution_windows.h"

namespace torchsearch {

namespace {

// Of inputs that are copied at once.
constexpr int64_t kChunkBytes = int64_t{64} << 20;

int64_t columnsOf(const WeightMatrix& layout, const at::Tensor& weight) {
  return layout.kind == WeightMatrix::Kind::kProduct ? weight.size(0) : weight.numel() / weight.size(0);
}

}  // namespace

void InputProducts::add(const WeightMatrix& layout, const at::Tensor& weight,
                        const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments,
                        const std::string& layer) {
  const at::NoGradGuard noGrad;
  const at::Tensor input = arguments.at(schema.name() == "aten::addmm" ? 1 : 0).toTensor();
  if (layout.kind == WeightMatrix::Kind::kConvolution) {
    forEachWindowMatrix(input, weight, readConvolution(schema, arguments, weight), kChunkBytes,
                        [&](const at::Tensor& matrix) { addMatrix(matrix); });
  } else if (input.numel() > 0) {
    const int64_t columns = columnsOf(layout, weight);
    const at::Tensor rows = input.reshape({-1, columns});
    const int64_t step = std::max<int64_t>(1, kChunkBytes / (8 * columns));
    for (int64_t i = 0; i < rows.size(0); i += step) {
      addMatrix(rows.narrow(0, i, std::min(step, rows.size(0) - i)).to(at::kDouble).unsqueeze(0));
    }
  }
  // A square is finite where the input is, and stays in the sum where it isn't.
  if (sum_.defined() && !sum_.diagonal(0, 1, 2).isfinite().all().item<bool>()) {
    throw Error(
        "ERR_ACTIVATION_NAN",
        "The inputs of '" + layer +
            "' hold NaN or an infinite number, so no Hessian can be made of them. Check the calibration "
            "data and its scaling, and that the model gives finite outputs.");
  }
}

void InputProducts::addMatrix(const at::Tensor& matrix) {
  if (!sum_.defined()) sum_ = at::zeros({matrix.size(0), matrix.size(2), matrix.size(2)}, matrix.options());
  sum_.baddbmm_(matrix.transpose(1, 2), matrix);
  inputSum_ = inputSum_.defined() ? inputSum_ + matrix.sum(1) : matrix.sum(1);
  inputs_ += matrix.size(1);
}

at::Tensor InputProducts::mean(const WeightMatrix& layout, const at::Tensor& weight) const {
  if (sum_.defined()) return sum_ / static_cast<double>(std::max<int64_t>(1, inputs_));
  const int64_t columns = columnsOf(layout, weight);
  return at::zeros({layout.groups, columns, columns}, weight.options().dtype(at::kDouble));
}

at::Tensor InputProducts::meanInput() const {
  return inputSum_.defined() ? inputSum_ / static_cast<double>(std::max<int64_t>(1, inputs_)) : at::Tensor();
}

int64_t InputProducts::bytesOf(const WeightMatrix& layout, const at::Tensor& weight) {
  const int64_t columns = columnsOf(layout, weight);
  return 8 * layout.groups * columns * columns;
}

}  // namespace torchsearch

#include "core/layers/weight_uses.h"

#include <utility>

#include "core/graph/recorder.h"
#include "core/layers/convolution_windows.h"

namespace torchsearch {

namespace {

bool isPlainConvolution(const std::string& name) {
  return name == "aten::conv1d" || name == "aten::conv2d" || name == "aten::conv3d" ||
         name == "aten::_convolution" || name == "aten::convolution" || name == "aten::_convolution_mode";
}

// Whether the operator gives its argument with the two dimensions of a matrix exchanged.
bool transposes(const std::string& name, const std::vector<c10::IValue>& arguments,
                const at::Tensor& tensor) {
  if (tensor.dim() != 2) return false;
  if (name == "aten::t" || name == "aten::numpy_T") return true;
  if (name == "aten::transpose" && arguments[1].isInt()) {
    return (arguments[1].toInt() + 2) % 2 != (arguments[2].toInt() + 2) % 2;
  }
  if (name == "aten::permute") return (arguments[1].toIntVector().at(0) + 2) % 2 == 1;
  return false;
}

bool passesOn(const std::string& name) {
  return name == "aten::detach" || name == "aten::alias";
}

// What a parameter is to an operator that takes it as argument `index`.
WeightUse useOf(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments, size_t index,
                const at::Tensor& parameter, bool transposed) {
  WeightUse use;
  const std::string& name = schema.name();
  if (isPlainConvolution(name) && index == 1 && !transposed) {
    const auto convolution = readConvolution(schema, arguments, parameter);
    if (convolution.transposed) {
      use.reason = "it is the weight of a transposed convolution";
    } else {
      use.matrix = WeightMatrix{WeightMatrix::Kind::kConvolution, convolution.groups};
    }
    return use;
  }
  // Whether the operator multiplies by the parameter itself or by its transpose.
  const bool byTranspose = name == "aten::linear" && index == 1;
  const bool plain =
      ((name == "aten::matmul" || name == "aten::mm") && index == 1) || (name == "aten::addmm" && index == 2);
  if ((byTranspose || plain) && parameter.dim() == 2) {
    use.matrix = WeightMatrix{
        byTranspose != transposed ? WeightMatrix::Kind::kLinear : WeightMatrix::Kind::kProduct, 1};
    return use;
  }
  use.reason = "it is read by " + name;
  return use;
}

}  // namespace

WeightTracker::WeightTracker(const torch::jit::Module& module) {
  for (const auto& parameter : module.named_parameters()) {
    const auto place = Place{static_cast<int32_t>(names_.size()), false};
    if (!places_.emplace(parameter.value.unsafeGetTensorImpl(), place).second) continue;
    names_.push_back(parameter.name);
    tensors_.push_back(parameter.value);
  }
}

WeightTracker::WeightTracker(std::vector<std::string> names, std::vector<at::Tensor> tensors)
    : names_(std::move(names)), tensors_(std::move(tensors)) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    places_.emplace(tensors_[i].unsafeGetTensorImpl(), Place{static_cast<int32_t>(i), false});
  }
}

std::vector<WeightUse> WeightTracker::see(const c10::FunctionSchema& schema,
                                          const std::vector<c10::IValue>& arguments,
                                          const std::vector<c10::IValue>& results) {
  std::vector<at::Tensor> made;
  for (const auto& result : results) collectTensors(result, made);
  if (made.empty()) return {};  // asks for a size or a dtype
  std::vector<WeightUse> uses;
  const std::string& name = schema.name();
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::vector<at::Tensor> taken;
    collectTensors(arguments[i], taken);
    for (const auto& tensor : taken) {
      if (!tensor.defined()) continue;
      const auto found = places_.find(tensor.unsafeGetTensorImpl());
      if (found == places_.end()) continue;
      const Place place = found->second;
      const auto& result = made.front();
      if (made.size() == 1 && result.is_same(tensor)) continue;  // `to` that has nothing to do
      if (i == 0 && made.size() == 1 && (passesOn(name) || transposes(name, arguments, tensor))) {
        places_[result.unsafeGetTensorImpl()] = {place.parameter, place.transposed != !passesOn(name)};
        views_.push_back(result);
        continue;
      }
      auto use = useOf(schema, arguments, i, tensors_[place.parameter], place.transposed);
      use.parameter = place.parameter;
      uses.push_back(std::move(use));
    }
  }
  return uses;
}

}  // namespace torchsearch

#include "core/forward/fused_steps.h"

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/hardsigmoid.h>
#include <ATen/ops/hardswish.h>
#include <ATen/ops/hardtanh.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>

#include <string_view>
#include <utility>

#include "core/forward/winograd.h"

namespace torchsearch {
namespace {

using Kind = PostActivation::Kind;
using Bias = std::optional<at::Tensor>;
using Scalars = c10::List<std::optional<at::Scalar>>;
using Text = std::optional<std::string_view>;

using ConvolutionFn = at::Tensor(const at::Tensor&, const at::Tensor&, const Bias&, at::IntArrayRef,
                                 at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view, Scalars, Text);
using ConvolutionAddFn = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const Bias&,
                                    at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t,
                                    std::string_view, std::optional<at::Scalar>, Text, Scalars, Text);
using LinearFn = at::Tensor(const at::Tensor&, const at::Tensor&, const Bias&, std::string_view, Scalars,
                            Text);
using LinearAddFn = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const Bias&,
                               std::string_view);
using PackConvolutionFn = at::Tensor(const at::Tensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef,
                                     int64_t, at::OptionalIntArrayRef);
using PackLinearFn = at::Tensor(const at::Tensor&, std::optional<int64_t>);

// What oneDNN's fused operators are called as; looked up once. Other builds of LibTorch lack them.
struct Kernels {
  c10::TypedOperatorHandle<ConvolutionFn> convolution;
  c10::TypedOperatorHandle<ConvolutionAddFn> convolutionAdd;
  c10::TypedOperatorHandle<LinearFn> linear;
  c10::TypedOperatorHandle<LinearAddFn> linearAdd;
  c10::TypedOperatorHandle<PackConvolutionFn> packConvolution;
  c10::TypedOperatorHandle<PackLinearFn> packLinear;
};

template <class Function>
c10::TypedOperatorHandle<Function> lookUp(const char* name, const char* overload = "") {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Function>();
}

const std::optional<Kernels>& kernels() {
  static const std::optional<Kernels> found = []() -> std::optional<Kernels> {
    try {
      return Kernels{lookUp<ConvolutionFn>("mkldnn::_convolution_pointwise"),
                     lookUp<ConvolutionAddFn>("mkldnn::_convolution_pointwise", "binary"),
                     lookUp<LinearFn>("mkldnn::_linear_pointwise"),
                     lookUp<LinearAddFn>("mkldnn::_linear_pointwise", "binary"),
                     lookUp<PackConvolutionFn>("mkldnn::_reorder_convolution_weight"),
                     lookUp<PackLinearFn>("mkldnn::_reorder_linear_weight")};
    } catch (const std::exception&) {
      return std::nullopt;
    }
  }();
  return found;
}

void apply(const PostActivation& activation, at::Tensor& tensor) {
  switch (activation.kind) {
    case Kind::kNone:
      return;
    case Kind::kRelu:
      at::relu_(tensor);
      return;
    case Kind::kClamp:
      at::hardtanh_(tensor, activation.low, activation.high);
      return;
    case Kind::kLeakyRelu:
      at::leaky_relu_(tensor, activation.low);
      return;
    case Kind::kHardswish:
      at::hardswish_(tensor);
      return;
    case Kind::kHardsigmoid:
      at::hardsigmoid_(tensor);
      return;
    case Kind::kSilu:
      at::silu_(tensor);
      return;
    case Kind::kSigmoid:
      at::sigmoid_(tensor);
      return;
    case Kind::kTanh:
      at::tanh_(tensor);
      return;
    case Kind::kGelu:
      at::gelu_(tensor, "none");
      return;
    case Kind::kGeluTanh:
      at::gelu_(tensor, "tanh");
      return;
  }
}

// An activation in the words of oneDNN's fused operators.
struct PackedActivation {
  std::string name = "none";
  Scalars scalars;
  std::string algorithm;

  explicit PackedActivation(const PostActivation& activation) {
    switch (activation.kind) {
      case Kind::kNone:
        return;
      case Kind::kRelu:
        name = "relu";
        return;
      case Kind::kClamp:
        name = "hardtanh";
        scalars.push_back(at::Scalar(activation.low));
        scalars.push_back(at::Scalar(activation.high));
        return;
      case Kind::kLeakyRelu:
        name = "leaky_relu";
        scalars.push_back(at::Scalar(activation.low));
        return;
      case Kind::kHardswish:
        name = "hardswish";
        return;
      case Kind::kHardsigmoid:
        name = "hardsigmoid";
        return;
      case Kind::kSilu:
        name = "swish";
        return;
      case Kind::kSigmoid:
        name = "sigmoid";
        return;
      case Kind::kTanh:
        name = "tanh";
        return;
      case Kind::kGelu:
      case Kind::kGeluTanh:
        name = "gelu";
        algorithm = activation.kind == Kind::kGelu ? "none" : "tanh";
        return;
    }
  }
};

class ChainStep : public PreparedStep {
 public:
  ChainStep(const FusedChain& chain, StepParts parts)
      : input_(chain.input),
        other_(chain.other),
        result_(chain.result),
        activation_(chain.activation),
        stride_(chain.stride),
        padding_(chain.padding),
        dilation_(chain.dilation),
        groups_(parts.groups),
        weight_(std::move(parts.weight)),
        layout_(parts.layout),
        contiguous_(parts.contiguous) {
    if (parts.bias.defined()) bias_ = std::move(parts.bias);
  }

  void run(std::vector<at::Tensor>& values) const final {
    static const at::Tensor none;
    at::Tensor result = compute(values[input_], other_ == kNoSlot ? none : values[other_]);
    values[result_] = layout_ ? inLayout(result, *layout_) : std::move(result);
  }

 protected:
  virtual at::Tensor compute(const at::Tensor& input, const at::Tensor& other) const = 0;

  SlotId input_;
  SlotId other_;
  SlotId result_;
  PostActivation activation_;
  std::vector<int64_t> stride_;
  std::vector<int64_t> padding_;
  std::vector<int64_t> dilation_;
  int64_t groups_;
  at::Tensor weight_;
  Bias bias_;
  std::optional<Layout> layout_;
  bool contiguous_;
};

class PlainConvolution final : public ChainStep {
  using ChainStep::ChainStep;
  at::Tensor compute(const at::Tensor& input, const at::Tensor& other) const override {
    at::Tensor result = at::convolution(contiguous_ ? input.contiguous() : input, weight_, bias_, stride_,
                                        padding_, dilation_, false, {0, 0}, groups_);
    if (other.defined()) result.add_(other);
    apply(activation_, result);
    return result;
  }
};

class PlainLinear final : public ChainStep {
  using ChainStep::ChainStep;
  at::Tensor compute(const at::Tensor& input, const at::Tensor& other) const override {
    at::Tensor result = at::linear(input, weight_, bias_);
    if (other.defined()) result.add_(other);
    apply(activation_, result);
    return result;
  }
};

class PackedConvolution final : public ChainStep {
 public:
  PackedConvolution(const FusedChain& chain, StepParts parts)
      : ChainStep(chain, std::move(parts)), packed_(chain.activation) {}

 private:
  at::Tensor compute(const at::Tensor& input, const at::Tensor& other) const override {
    if (!other.defined()) {
      return kernels()->convolution.call(input, weight_, bias_, padding_, stride_, dilation_, groups_,
                                         packed_.name, packed_.scalars, packed_.algorithm);
    }
    // After an addition the fused operator knows no other activation than this one.
    const bool relu = activation_.kind == Kind::kRelu;
    at::Tensor result = kernels()->convolutionAdd.call(
        input, other, weight_, bias_, padding_, stride_, dilation_, groups_, "add", at::Scalar(1.0),
        relu ? Text("relu") : std::nullopt, Scalars(), std::nullopt);
    if (!relu) apply(activation_, result);
    return result;
  }

  PackedActivation packed_;
};

class WinogradConvolution final : public ChainStep {
 public:
  WinogradConvolution(const FusedChain& chain, StepParts parts) : ChainStep(chain, std::move(parts)) {
    arguments_.padding = chain.padding.front();
    if (activation_.kind == Kind::kRelu) arguments_.low = 0;
    if (activation_.kind == Kind::kClamp) {
      arguments_.low = static_cast<float>(activation_.low);
      arguments_.high = static_cast<float>(activation_.high);
    }
    applied_ = activation_.kind == Kind::kRelu || activation_.kind == Kind::kClamp;
  }

 private:
  at::Tensor compute(const at::Tensor& input, const at::Tensor& other) const override {
    at::Tensor result = winogradConvolution(input, weight_, *bias_, other, arguments_);
    if (!applied_) apply(activation_, result);
    return result;
  }

  WinogradArguments arguments_;
  bool applied_ = false;
};

class PackedLinear final : public ChainStep {
 public:
  PackedLinear(const FusedChain& chain, StepParts parts)
      : ChainStep(chain, std::move(parts)), packed_(chain.activation) {}

 private:
  at::Tensor compute(const at::Tensor& input, const at::Tensor& other) const override {
    if (!other.defined()) {
      return kernels()->linear.call(input, weight_, bias_, packed_.name, packed_.scalars, packed_.algorithm);
    }
    at::Tensor result = kernels()->linearAdd.call(input, other, weight_, bias_, "add");
    apply(activation_, result);
    return result;
  }

  PackedActivation packed_;
};

}  // namespace

bool hasPackedKernels() {
  return at::hasMKLDNN() && at::globalContext().userEnabledMkldnn() && kernels().has_value();
}

at::Tensor packConvolution(const FusedChain& chain, const at::Tensor& weight, int64_t groups,
                           const std::vector<int64_t>& input) {
  return kernels()->packConvolution.call(weight, chain.padding, chain.stride, chain.dilation, groups,
                                         at::OptionalIntArrayRef(input));
}

at::Tensor packLinear(const at::Tensor& weight, int64_t rows) {
  return kernels()->packLinear.call(weight, rows);
}

at::Tensor inLayout(const at::Tensor& tensor, Layout layout) {
  return tensor.contiguous(layout == Layout::kChannelsLast ? at::MemoryFormat::ChannelsLast
                                                           : at::MemoryFormat::Contiguous);
}

std::unique_ptr<PreparedStep> makeStep(const FusedChain& chain, StepKernel kernel, StepParts parts) {
  const bool packed = kernel == StepKernel::kPacked;
  const auto make = [&]<class Step>() -> std::unique_ptr<PreparedStep> {
    return std::make_unique<Step>(chain, std::move(parts));
  };
  if (kernel == StepKernel::kWinograd) return make.template operator()<WinogradConvolution>();
  if (chain.kind == FusedChain::Kind::kConvolution) {
    return packed ? make.template operator()<PackedConvolution>()
                  : make.template operator()<PlainConvolution>();
  }
  return packed ? make.template operator()<PackedLinear>() : make.template operator()<PlainLinear>();
}

}  // namespace torchsearch

#include "tests/support/simulated_operators.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/from_blob.h>
#include <torch/library.h>

#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include "tests/support/simulated_device.h"

#if __has_include(<ATen/core/GraphImplInterface.h>)
#include <ATen/core/GraphImplInterface.h>
#define TORCHSEARCH_HAS_GRAPHS 1
#else
#define TORCHSEARCH_HAS_GRAPHS 0
#endif

namespace torchsearch::testing {

namespace {

using c10::IValue;
using torch::jit::Stack;

// One operator of a captured graph. Its tensors keep their memory.
struct Recorded {
  c10::OperatorHandle op;
  Stack arguments;
  Stack results;
};

struct Recording {
  std::vector<Recorded> operators;
};

thread_local Recording* recording = nullptr;
std::atomic<bool> refuses = false;
std::atomic<int> replayed = 0;

bool isOnDevice(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device() == simulatedDevice();
}

// The CPU's tensors over a call's memory, with what they stand for.
class HostAliases {
 public:
  at::Tensor of(const at::Tensor& tensor) {
    if (!isOnDevice(tensor)) return tensor;
    for (const auto& [own, alias] : aliases_) {
      if (own.is_same(tensor)) return alias;
    }
    auto options = tensor.options().device(at::kCPU);
    // One without elements may be there to be resized.
    at::Tensor alias = tensor.numel() == 0
                           ? at::empty_strided(tensor.sizes(), tensor.strides(), options)
                           : at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), options);
    aliases_.emplace_back(tensor, alias);
    return alias;
  }

  IValue of(const IValue& value) {
    if (value.isTensor()) return of(value.toTensor());
    if (value.isDevice()) return c10::Device(at::kCPU);
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& element : value.toTensorVector()) list.push_back(of(element));
      return list;
    }
    if (value.isList() && value.toList().elementType()->isSubtypeOf(*c10::OptionalType::ofTensor())) {
      c10::List<std::optional<at::Tensor>> list;
      for (const IValue& element : value.toListRef()) {
        list.push_back(element.isNone() ? std::optional<at::Tensor>() : of(element.toTensor()));
      }
      return list;
    }
    return value;
  }

  // What an operator's result is on the device: an argument itself, a view of it, or a new tensor.
  IValue back(const IValue& value) const {
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& element : value.toTensorVector()) list.push_back(back(element));
      return list;
    }
    return value.isTensor() ? IValue(back(value.toTensor())) : value;
  }

  at::Tensor back(const at::Tensor& result) const {
    if (!result.defined() || !result.is_cpu()) return result;
    for (const auto& [own, alias] : aliases_) {
      if (!result.is_same(alias)) continue;
      if (own.sizes() != result.sizes()) {
        const at::Tensor fresh = made(result);
        own.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
        own.unsafeGetTensorImpl()->set_sizes_and_strides(fresh.sizes(), fresh.strides(), 0);
      }
      return own;
    }
    for (const auto& [own, alias] : aliases_) {
      if (!result.has_storage() || !result.is_alias_of(alias)) continue;
      at::Tensor view = at::detail::make_tensor<c10::TensorImpl>(
          c10::Storage(own.storage()), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), own.dtype());
      view.unsafeGetTensorImpl()->set_sizes_and_strides(result.sizes(), result.strides(),
                                                        own.storage_offset() + result.storage_offset());
      return view;
    }
    return made(result);
  }

  // Writes what was computed anew over an earlier result.
  static void over(const IValue& earlier, const IValue& now) {
    if (now.isTensorList()) {
      const auto to = earlier.toTensorVector();
      const auto from = now.toTensorVector();
      for (size_t i = 0; i < to.size(); ++i) over(to[i], from[i]);
    } else if (now.isTensor() && now.toTensor().defined() &&
               !now.toTensor().is_alias_of(earlier.toTensor())) {
      const at::Tensor source = now.toTensor();
      HostAliases().of(earlier.toTensor()).copy_(HostAliases().of(source));
    }
  }

 private:
  // A tensor on the device that holds the same.
  static at::Tensor made(const at::Tensor& host) {
    const at::Tensor fresh =
        at::empty_strided(host.sizes(), host.strides(), host.options().device(simulatedDevice()));
    HostAliases().of(fresh).copy_(host);
    return fresh;
  }

  std::vector<std::pair<at::Tensor, at::Tensor>> aliases_;
};

Stack compute(const c10::OperatorHandle& op, const Stack& arguments) {
  HostAliases aliases;
  Stack stack;
  for (const IValue& argument : arguments) stack.push_back(aliases.of(argument));
  op.callBoxed(&stack);
  for (IValue& result : stack) result = aliases.back(result);
  return stack;
}

void run(const c10::OperatorHandle& op, Stack* stack) {
  const size_t count = op.schema().arguments().size();
  Stack arguments(stack->end() - static_cast<std::ptrdiff_t>(count), stack->end());
  stack->resize(stack->size() - count);
  if (recording != nullptr) {
    TORCH_CHECK(!op.hasTag(at::Tag::data_dependent_output) && !op.hasTag(at::Tag::dynamic_output_shape),
                "operation not permitted when stream is capturing");
  } else {
    finishCurrentStream();
  }
  Stack results = compute(op, arguments);
  if (recording != nullptr) recording->operators.push_back({op, std::move(arguments), results});
  for (IValue& result : results) stack->push_back(std::move(result));
}

void fallback(const c10::OperatorHandle& op, Stack* stack) {
  run(op, stack);
}

// Convolutions of other backends than LibTorch's own go here.
at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding,
                       at::IntArrayRef dilation, bool transposed, at::IntArrayRef outputPadding,
                       int64_t groups) {
  Stack stack{input, weight, bias, stride, padding, dilation, transposed, outputPadding, groups};
  run(c10::Dispatcher::singleton().findSchemaOrThrow("aten::convolution", ""), &stack);
  return stack.back().toTensor();
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("convolution_overrideable", convolution);
}

#if TORCHSEARCH_HAS_GRAPHS

struct Graph final : public at::GraphImplInterface {
  explicit Graph(const at::GraphImplArgs&) {}
  ~Graph() override {
    if (recording == &recording_) recording = nullptr;
  }

  void capture_begin(at::MempoolId_t, at::GraphCaptureMode mode) override {
    TORCH_CHECK(currentStreamId() != 0, "graphs must be captured on a non-default stream");
    TORCH_CHECK(mode == at::GraphCaptureMode::ThreadLocal && recording == nullptr);
    recording = &recording_;
  }
  void capture_end() override {
    recording = nullptr;
    TORCH_CHECK(!refuses, "the capture is not valid");
    // Nothing has run, as far as the captor may see.
    for (const auto& recorded : recording_.operators) {
      for (const IValue& result : recorded.results) {
        if (!result.isTensor() || !isOnDevice(result.toTensor())) continue;
        const at::Tensor tensor = result.toTensor();
        bool given = false;
        for (const IValue& argument : recorded.arguments) {
          given = given || (argument.isTensor() && argument.toTensor().defined() &&
                            argument.toTensor().is_alias_of(tensor));
        }
        if (!given) std::memset(tensor.storage().mutable_data(), 0x7B, tensor.storage().nbytes());
      }
    }
  }
  void instantiate() override {}
  void replay() override {
    finishCurrentStream();
    ++replayed;
    for (const auto& recorded : recording_.operators) {
      const Stack results = compute(recorded.op, recorded.arguments);
      for (size_t i = 0; i < results.size(); ++i) HostAliases::over(recorded.results[i], results[i]);
    }
  }
  void reset() override { recording_ = {}; }
  at::MempoolId_t pool() const override { return {0, 0}; }
  void enable_debug_mode() override {}
  void debug_dump(const std::string&) override {}

 private:
  Recording recording_;
};

#endif

}  // namespace

void copyOnHost(const at::Tensor& source, const at::Tensor& target) {
  if (recording != nullptr) {
    TORCH_CHECK(isOnDevice(source) && isOnDevice(target), "operation not permitted when stream is capturing");
    const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::copy_", "");
    Stack stack{target, source, false};
    run(op, &stack);
    return;
  }
  finishCurrentStream();
  HostAliases aliases;
  aliases.of(target).copy_(aliases.of(source));
}

bool captures() {
  return recording != nullptr;
}

void refuseCapture(bool refuse) {
  refuses = refuse;
}

int replays() {
  return replayed;
}

void registerGraphs() {
#if TORCHSEARCH_HAS_GRAPHS
  at::GraphImplRegistry()->Register(
      c10::DeviceTypeName(c10::kPrivateUse1, /*lower_case=*/false),
      [](const at::GraphImplArgs& args) -> std::unique_ptr<at::GraphImplInterface> {
        return std::make_unique<Graph>(args);
      });
#endif
}

}  // namespace torchsearch::testing

#include "core/quantization/quantized_export.h"

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/jit.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "core/graph/extra_methods.h"
#include "core/graph/inlined_graph.h"
#include "core/graph/module_copy.h"

namespace torchsearch {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

namespace {

// What fakeQuantize does, operator by operator. 8-bit floats have no operator of their own; what is cut off
// and what is rounded is told apart so that gradients pass the rounding only. The sum of `c` and the
// difference is exact: a rounded number is zero or within a factor of two of the original.
constexpr const char* kSource = R"JIT(
def integers(x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int) -> Tensor:
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, low, high)

def integers_by_channel(x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int, axis: int) -> Tensor:
    return torch.fake_quantize_per_channel_affine(x, scale, zero_point, axis, low, high)

def integers_by_block(x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int, axis: int, block: int) -> Tensor:
    moved = torch.movedim(x, axis, 0)
    rounded = torch.fake_quantize_per_channel_affine(moved.reshape([-1, block]), scale, zero_point, 0, low, high)
    return torch.movedim(rounded.reshape(moved.shape), 0, axis)

def floats(x: Tensor, scale: Tensor, limit: float, storage: int) -> Tensor:
    bound = scale * limit
    c = torch.clamp(x, -bound, bound)
    rounded = (c / scale).to(storage).to(6) * scale
    return c + (rounded - c).detach()
)JIT";

class QuantizerInsertion {
 public:
  explicit QuantizerInsertion(const torch::jit::Module& module)
      : module_(module),
        graph_(*torch::jit::toGraphFunction(module.get_method("forward").function()).graph()),
        sources_(torch::jit::compile(kSource)),
        buffers_(c10::QualifiedName("__torch__.torchsearch.Quantizers"), module._ivalue()->compilation_unit(),
                 /*shouldMangle=*/true) {
    while (module_.hasattr(name_)) name_ += "_";
  }

  // Rounds what `node` is given as `argument`, of `dtype` and `rank`.
  void quantize(Node* node, int32_t argument, const std::string& wantedName, const NumberFormat& format,
                const QuantParameters& grid, at::ScalarType dtype, int64_t rank) {
    std::string name = wantedName;
    while (buffers_.hasattr(name + "_scale")) name += "_";
    const torch::jit::WithInsertPoint before(node);
    Value* value = node->inputs().at(argument);
    if (dtype != at::kFloat) value = cast(value, at::kFloat);
    std::vector<Value*> inputs = {value};
    const auto constant = [&](const c10::IValue& number) { inputs.push_back(graph_.insertConstant(number)); };
    const char* function = "floats";
    if (format.isInt()) {
      inputs.push_back(buffer(name + "_scale", grid.scale));
      inputs.push_back(buffer(name + "_zero_point", grid.zeroPoint));
      constant(format.lowest());
      constant(format.highest());
      function = grid.axis < 0 ? "integers" : grid.block == 0 ? "integers_by_channel" : "integers_by_block";
      if (grid.axis >= 0) constant(grid.axis);
      if (grid.block > 0) constant(grid.block);
    } else {
      inputs.push_back(buffer(name + "_scale", shaped(grid, rank)));
      constant(format.limit());
      const auto storage = format.type == NumberType::kE5M2 ? at::kFloat8_e5m2 : at::kFloat8_e4m3fn;
      constant(static_cast<int64_t>(storage));
    }
    auto& source = torch::jit::toGraphFunction(sources_->get_function(function));
    value = torch::jit::insertGraph(graph_, *source.graph(), inputs).at(0);
    if (dtype != at::kFloat) value = cast(value, dtype);
    node->replaceInput(argument, value);
  }

 private:
  // Channels' scales, to multiply the whole tensor.
  static at::Tensor shaped(const QuantParameters& grid, int64_t rank) {
    if (grid.axis < 0) return grid.scale;
    std::vector<int64_t> shape(rank, 1);
    shape[grid.axis] = grid.scale.numel();
    return grid.scale.reshape(shape);
  }

  Value* cast(Value* value, at::ScalarType dtype) {
    return graph_.insert(c10::Symbol::fromQualString("aten::to"),
                         {value, graph_.insertConstant(static_cast<int64_t>(dtype))});
  }

  Value* buffer(const std::string& name, const at::Tensor& tensor) {
    if (self_ == nullptr) {
      module_.register_module(name_, buffers_);
      const torch::jit::WithInsertPoint begin(*graph_.nodes().begin());
      self_ = graph_.insertNode(graph_.createGetAttr(graph_.inputs()[0], name_))->output();
    }
    buffers_.register_buffer(name, tensor.clone());
    return graph_.insertNode(graph_.createGetAttr(self_, name))->output();
  }

  torch::jit::Module module_;
  Graph& graph_;
  std::shared_ptr<torch::jit::CompilationUnit> sources_;
  torch::jit::Module buffers_;
  std::string name_ = "quantizers";
  Value* self_ = nullptr;  // the submodule, once there is a buffer
};

// A dotted path as one attribute's name.
std::string attributeName(const std::string& path) {
  std::string name = path;
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '.' || c == '#'; }, '_');
  return name;
}

}  // namespace

torch::jit::Module exportQuantizedModule(const torch::jit::Module& module, const Program& program,
                                         LayerQuantizers& quantizers, const std::vector<int64_t>& chosen,
                                         const std::vector<at::Tensor>& weights) {
  const at::NoGradGuard noGrad;
  torch::jit::Module copy = module.clone(/*inplace=*/true);
  TensorReplacements replacements;
  const auto replace = [&](const at::Tensor& tensor) {
    at::Tensor own = tensor.detach().clone(at::MemoryFormat::Preserve);
    own.set_requires_grad(tensor.requires_grad());
    replacements.emplace(tensor.unsafeGetTensorImpl(), std::move(own));
  };
  for (const auto& parameter : module.named_parameters()) replace(parameter.value);
  for (const auto& buffer : module.named_buffers()) replace(buffer.value);
  replaceTensors(copy, replacements);
  const auto target = InlinedGraph::inPlace(copy, InlinedGraph::FusedAttention::kAvoid);
  QuantizerInsertion insertion(copy);
  const auto& layers = quantizers.layers();
  for (size_t i = 0; i < layers.size(); ++i) {
    if (chosen[i] == kUnquantized) continue;
    const auto place = static_cast<size_t>(chosen[i]);
    const LayerFormat& format = quantizers.formats()[place];
    Node* node = target->nodes().at(layers[i].node);
    const std::string name = attributeName(layers[i].name);
    if (format.weight) {
      insertion.quantize(node, layers[i].weightArgument, name + "_weight", *format.weight,
                         quantizers.weightGrid(i, place, weights[i]), layers[i].dtype,
                         static_cast<int64_t>(layers[i].weightSizes.size()));
    }
    if (format.activation) {
      const Slot& input = program.slots[layers[i].input];
      insertion.quantize(node, layers[i].inputArgument, name + "_input", *format.activation,
                         quantizers.activationGrid(i, place), input.dtype,
                         static_cast<int64_t>(input.sizes.size()));
    }
  }
  std::set<std::string> tensors;
  for (const auto& parameter : copy.named_parameters()) tensors.insert(parameter.name);
  std::vector<ExtraMethod> kept;
  for (auto& method : extraMethods(copy, MethodGraphs::kInPlace)) {
    // Only forward, which it may call, rounds weights.
    const auto isWeight = [&](const std::string& path) { return tensors.count(path) > 0; };
    if (method.isKnown && std::none_of(method.used.begin(), method.used.end(), isWeight)) {
      kept.push_back(std::move(method));
    }
  }
  removeMethods(copy, kept);
  return copy;
}

}  // namespace torchsearch

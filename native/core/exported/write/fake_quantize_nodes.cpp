#include "core/exported/write/fake_quantize_nodes.h"

#include "core/exported/scalar_types.h"
#include "core/exported/write/stored_values.h"

namespace torchsearch::exported {
namespace {

using Operand = NodeSink::Operand;

const ValueTree& quantizerArgument(const Instruction& step, const char* name) {
  const auto index = step.schema->argumentIndexWithName(name);
  if (!index) refuseWriting("a fake quantization of another PyTorch", "Save it as TorchScript.");
  return step.arguments.at(static_cast<size_t>(*index));
}

class FakeQuantize {
 public:
  FakeQuantize(const Instruction& step, const Program& program, const SlotNames& names, const Json& meta,
               NodeSink& sink)
      : step_(step), program_(program), names_(names), meta_(meta), sink_(sink) {}

  std::string write() {
    const std::string x = names_.at(quantizerArgument(step_, "self").slot);
    low_ = quantizerArgument(step_, "quant_min").constant.toInt();
    high_ = quantizerArgument(step_, "quant_max").constant.toInt();
    const std::string scale = gridTensor("scale");
    const std::string zero = gridTensor("zero_point");
    // As PyTorch's kernels do: a product with the reciprocal, rounded half to even, and cut off.
    const std::string inverse = add("reciprocal.default", {tensor("self", scale)}, gridMeta_);
    const std::string steps = add("mul.Tensor", {tensor("self", x), tensor("other", inverse)});
    const std::string rounded = add("round.default", {tensor("self", steps)});
    const std::string moved = add("add.Tensor", {tensor("self", rounded), tensor("other", zero)});
    const std::string cut = add(
        "clamp.default", {tensor("self", moved), {"min", {{"as_int", low_}}}, {"max", {{"as_int", high_}}}});
    const std::string whole = add("sub.Tensor", {tensor("self", cut), tensor("other", zero)});
    const std::string result = add("mul.Tensor", {tensor("self", whole), tensor("other", scale)});
    const std::string value = add("detach.default", {tensor("self", result)});
    // What is added is zero, with the gradient of what was not cut off.
    const std::string kept =
        add("clamp.Tensor", {tensor("self", x), tensor("min", bound(low_ - 0.5, zero, scale)),
                             tensor("max", bound(high_ + 0.5, zero, scale))});
    const std::string same = add("detach.default", {tensor("self", kept)});
    const std::string nothing = add("sub.Tensor", {tensor("self", kept), tensor("other", same)});
    return add("add.Tensor", {tensor("self", value), tensor("other", nothing)});
  }

 private:
  static Operand tensor(const char* name, const std::string& value) { return {name, tensorOperand(value)}; }

  std::string add(const char* target, const std::vector<Operand>& operands) {
    return sink_.add(target, operands, meta_);
  }
  std::string add(const char* target, const std::vector<Operand>& operands, const Json& meta) {
    return sink_.add(target, operands, meta);
  }

  // The scale or zero point as a float tensor that can be multiplied with x.
  std::string gridTensor(const char* which) {
    const ValueTree& value = quantizerArgument(step_, which);
    if (!value.isSlot()) refuseWriting("a fake quantization whose grid is a number", "Make it a buffer.");
    std::string name = names_.at(value.slot);
    std::vector<int64_t> sizes = program_.slots[value.slot].sizes;
    if (program_.slots[value.slot].dtype != at::kFloat) {
      name = add("to.dtype", {tensor("self", name), {"dtype", {{"as_scalar_type", numberOf(at::kFloat)}}}},
                 tensorMeta(at::empty(sizes, at::kFloat), false));
    }
    if (step_.schema->argumentIndexWithName("axis")) {
      const size_t rank = program_.slots[quantizerArgument(step_, "self").slot].sizes.size();
      std::vector<int64_t> wide(rank, 1);
      wide.at(static_cast<size_t>(quantizerArgument(step_, "axis").constant.toInt())) = sizes.at(0);
      if (wide != sizes) {
        sizes = wide;
        name = add("view.default", {tensor("self", name), {"size", {{"as_ints", sizes}}}},
                   tensorMeta(at::empty(sizes, at::kFloat), false));
      }
    }
    gridMeta_ = tensorMeta(at::empty(sizes, at::kFloat), false);
    return name;
  }

  std::string bound(double steps, const std::string& zero, const std::string& scale) {
    const std::string whole =
        add("rsub.Scalar", {tensor("self", zero), {"other", {{"as_float", steps}}}}, gridMeta_);
    return add("mul.Tensor", {tensor("self", whole), tensor("other", scale)}, gridMeta_);
  }

  const Instruction& step_;
  const Program& program_;
  const SlotNames& names_;
  const Json& meta_;
  NodeSink& sink_;
  Json gridMeta_;
  int64_t low_ = 0;
  int64_t high_ = 0;
};

}  // namespace

bool isFakeQuantize(const Instruction& step) {
  const std::string& name = step.schema->name();
  return name == "aten::fake_quantize_per_tensor_affine" || name == "aten::fake_quantize_per_channel_affine";
}

std::string addFakeQuantize(const Instruction& step, const Program& program, const SlotNames& names,
                            const Json& meta, NodeSink& sink) {
  return FakeQuantize(step, program, names, meta, sink).write();
}

}  // namespace torchsearch::exported

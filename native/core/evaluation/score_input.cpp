#include "core/evaluation/score_input.h"

#include <ATen/ATen.h>

#include <sstream>
#include <vector>

#include "core/base/error.h"

namespace torchsearch {

void misfit(const std::string& message) {
  throw Error("ERR_SCORE_INPUT", message);
}

std::string shapeOf(const at::Tensor& tensor) {
  std::ostringstream out;
  out << tensor.sizes();
  return out.str();
}

at::Tensor scoredTensor(const c10::IValue& value, const char* whose) {
  if (value.isTensor() && value.toTensor().defined()) return value.toTensor();
  if (value.isTuple() && !value.toTupleRef().elements().empty())
    return scoredTensor(value.toTupleRef().elements()[0], whose);
  if (value.isList() && value.toListRef().size() > 0) return scoredTensor(value.toListRef()[0], whose);
  if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    for (const char* name : {"logits", "out"}) {
      for (const auto& item : dict) {
        if (item.key().isString() && item.key().toStringRef() == name)
          return scoredTensor(item.value(), whose);
      }
    }
    if (dict.size() == 1) return scoredTensor(dict.begin()->value(), whose);
  }
  misfit(std::string("The ") + whose + "'s output holds no tensor to score; it is of type " +
         value.type()->annotation_str() + ".");
}

void requireClasses(const at::Tensor& logits, const at::Tensor& target) {
  if (!logits.is_floating_point() || logits.dim() < 2) {
    misfit("This score needs float outputs of shape [N, C] or [N, C, ...], but the model gave " +
           shapeOf(logits) + " " + c10::toString(logits.scalar_type()) + ".");
  }
  if (!target.defined() || !c10::isIntegralType(target.scalar_type(), /*includeBool=*/false)) {
    misfit("This score needs class indices as an integer (int64) target.");
  }
  std::vector<int64_t> expected = logits.sizes().vec();
  expected.erase(expected.begin() + 1);
  if (target.sizes() != at::IntArrayRef(expected)) {
    std::ostringstream out;
    out << "The target has shape " << target.sizes() << ", but outputs of shape " << logits.sizes()
        << " need " << at::IntArrayRef(expected) << ".";
    misfit(out.str());
  }
}

void requireClassRange(const at::Tensor& logits, const at::Tensor& target) {
  const at::Tensor classes = target.to(logits.device(), at::kLong);
  const at::Tensor valid =
      classes.ge(0).logical_and(classes.lt(logits.size(1))).logical_or(classes.eq(kIgnoredClass));
  if (!valid.all().item<bool>()) {
    misfit("The target holds a class index outside of 0 to " + std::to_string(logits.size(1) - 1) + ".");
  }
}

void requireSameShape(const at::Tensor& output, const at::Tensor& target) {
  if (!target.defined() || output.sizes() != target.sizes()) {
    misfit("Mean squared error needs a target of the output's shape " + shapeOf(output) +
           ", but its shape is " + (target.defined() ? shapeOf(target) : "missing") + ".");
  }
}

}  // namespace torchsearch

#include "core/evaluation/score_input.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
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

namespace {

[[noreturn]] void noTensor(const c10::IValue& value, const char* whose, const std::string& key) {
  misfit(std::string("The ") + whose + "'s output holds no tensor " +
         (key.empty() ? "to score" : "\"" + key + "\"") + "; it is of type " +
         value.type()->annotation_str() + ".");
}

// A position in a tuple or list; nothing where it is none.
std::optional<size_t> positionOf(const std::string& part, size_t size) {
  if (part.empty() || part.size() > 9 || part.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  const size_t position = std::stoul(part);
  return position < size ? std::optional<size_t>(position) : std::nullopt;
}

std::optional<c10::IValue> element(const c10::IValue& value, const std::string& part) {
  if (value.isTuple()) {
    const auto& elements = value.toTupleRef().elements();
    const auto type = value.type()->cast<c10::TupleType>();
    if (type && type->schema()) {
      const auto index = type->schema()->argumentIndexWithName(part);
      if (index.has_value()) return elements[*index];
    }
    const auto position = positionOf(part, elements.size());
    return position ? std::optional<c10::IValue>(elements[*position]) : std::nullopt;
  }
  if (value.isList()) {
    const auto position = positionOf(part, value.toListRef().size());
    return position ? std::optional<c10::IValue>(value.toListRef()[*position]) : std::nullopt;
  }
  if (value.isGenericDict()) {
    for (const auto& item : value.toGenericDict()) {
      if (item.key().isString() && item.key().toStringRef() == part) return item.value();
    }
  }
  return std::nullopt;
}

at::Tensor tensorAt(const c10::IValue& whole, const char* whose, const std::string& key) {
  c10::IValue value = whole;
  for (size_t from = 0; from <= key.size();) {
    const size_t dot = std::min(key.find('.', from), key.size());
    const auto next = element(value, key.substr(from, dot - from));
    if (!next.has_value()) noTensor(whole, whose, key);
    value = *next;
    from = dot + 1;
  }
  if (!value.isTensor() || !value.toTensor().defined()) noTensor(whole, whose, key);
  return value.toTensor();
}

}  // namespace

at::Tensor pickedTensor(const c10::IValue& value, const char* whose, const OutputView& view) {
  if (value.isTensor() && value.toTensor().defined()) return value.toTensor();
  if (!view.key.empty()) return tensorAt(value, whose, view.key);
  if (value.isTuple() && !value.toTupleRef().elements().empty())
    return pickedTensor(value.toTupleRef().elements()[0], whose);
  if (value.isList() && value.toListRef().size() > 0) return pickedTensor(value.toListRef()[0], whose);
  if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    for (const char* name : {"logits", "out"}) {
      if (const auto found = element(value, name)) return pickedTensor(*found, whose);
    }
    if (dict.size() == 1) return pickedTensor(dict.begin()->value(), whose);
  }
  noTensor(value, whose, view.key);
}

at::Tensor classesSecond(const at::Tensor& tensor, const OutputView& view) {
  return view.classesLast && tensor.dim() > 2 ? tensor.movedim(-1, 1) : tensor;
}

at::Tensor scoredTensor(const c10::IValue& value, const char* whose, const OutputView& view) {
  return classesSecond(pickedTensor(value, whose, view), view);
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

#include "core/exported/write/number_writer.h"

#include <algorithm>

namespace torchsearch::exported {
namespace {

using Term = SizeFormula::Term;
using Whole = SizeFormula::Whole;

std::string call(const char* function, const std::vector<std::string>& operands) {
  if (operands.size() == 1) return operands[0];
  std::string text = std::string(function) + "(";
  for (size_t i = 0; i < operands.size(); ++i) text += (i == 0 ? "" : ", ") + operands[i];
  return text + ")";
}

std::string integer(int64_t number) {
  return "Integer(" + std::to_string(number) + ")";
}

Json input(const char* name, Json argument) {
  return {{"name", name}, {"arg", std::move(argument)}, {"kind", 1}};
}

Json number(int64_t value) {
  return {{"as_int", value}};
}

SizeFormula termFormula(const Term& term) {
  return {.offset = 0, .scale = 1, .factors = {{0, {term}}}};
}

Json named(const std::string& name) {
  return {{"as_sym_int", {{"as_name", name}}}};
}

}  // namespace

SizeFormula NumberWriter::fit(const std::vector<int64_t>& values, const std::string& what) const {
  if (const auto formula = fitFormula(probes_.points(), values)) return *formula;
  std::string seen;
  for (const int64_t value : values) seen += (seen.empty() ? "" : ", ") + std::to_string(value);
  refuseWriting(what + ", which follows from the inputs' sizes in a way that is not known (" + seen + ")",
                "Export the model with fewer dynamic dimensions, or save it as TorchScript.");
}

std::string NumberWriter::textOfSum(const SizeFormula::Sum& sum) const {
  std::vector<std::string> terms;
  for (const Term& term : sum.terms) {
    const auto& [symbol, shift, divisor] = term.whole;
    std::vector<std::string> shifted{"Symbol('" + probes_.symbols()[symbol].name +
                                     "', positive=True, integer=True)"};
    if (shift != 0) shifted.push_back(integer(shift));
    std::string whole = call("Add", shifted);
    if (divisor != 1) whole = "FloorDiv(" + whole + ", " + integer(divisor) + ")";
    std::vector<std::string> product;
    if (term.scale != 1) product.push_back(integer(term.scale));
    product.insert(product.end(), static_cast<size_t>(term.power), whole);
    terms.push_back(call("Mul", product));
  }
  if (sum.offset != 0) terms.push_back(integer(sum.offset));
  return call("Add", terms);
}

std::string NumberWriter::textOfFormula(const SizeFormula& formula) const {
  std::vector<std::string> product;
  if (formula.scale != 1) product.push_back(integer(formula.scale));
  for (const auto& factor : formula.factors) product.push_back(textOfSum(factor));
  std::vector<std::string> sum{call("Mul", product)};
  if (formula.offset != 0) sum.push_back(integer(formula.offset));
  return call("Add", sum);
}

Json NumberWriter::metaOf(const SizeFormula& formula) const {
  if (formula.constant()) return {{"as_int", formula.offset}};
  return {{"as_expr",
           {{"expr_str", textOfFormula(formula)}, {"hint", {{"as_int", formula.at(probes_.points()[0])}}}}}};
}

Json NumberWriter::expression(const std::vector<int64_t>& values, const std::string& what) const {
  return metaOf(fit(values, what));
}

Json NumberWriter::operand(const std::vector<int64_t>& values, const std::string& what) {
  const SizeFormula formula = fit(values, what);
  if (formula.constant()) return {{"as_int", formula.offset}};
  return {{"as_name", nameOf(formula)}};
}

std::string NumberWriter::symbolNode(size_t symbol) {
  const auto& place = probes_.symbols()[symbol].places.at(0);
  const std::string name = names_.unique("sym_size_int");
  nodes_.push_back({{"target", "torch.ops.aten.sym_size.int"},
                    {"inputs",
                     {input("self", {{"as_tensor", {{"name", inputs_.at(place.tensor)}}}}),
                      input("dim", {{"as_int", place.dimension}})}},
                    {"outputs", Json::array({named(name)})},
                    {"metadata", Json::object()},
                    {"is_hop_single_tensor_return", nullptr},
                    {"name", name}});
  if (place.isSymbol()) return name;
  // A size that is a line of the symbol, which stands for itself nowhere.
  values_[name] =
      metaOf({.offset = 0, .scale = 1, .factors = {{place.offset, {{place.scale, {symbol, 0, 1}, 1}}}}});
  SizeFormula multiple = termFormula({place.scale, {symbol, 0, 1}, 1});
  std::string own = name;
  if (place.offset != 0)
    own = arithmetic("_operator.sub", "sub", {named(own), number(place.offset)}, multiple);
  if (place.scale == 1) return own;
  return arithmetic("_operator.floordiv", "floordiv", {named(own), number(place.scale)},
                    termFormula({1, {symbol, 0, 1}, 1}));
}

std::string NumberWriter::arithmetic(const char* target, const std::string& base,
                                     const std::vector<Json>& operands, const SizeFormula& meaning) {
  const auto known =
      std::find_if(known_.begin(), known_.end(), [&](const auto& item) { return item.first == meaning; });
  if (known != known_.end()) return known->second;
  const std::string name = names_.unique(base);
  nodes_.push_back({{"target", target},
                    {"inputs", {input("a", operands[0]), input("b", operands[1])}},
                    {"outputs", Json::array({named(name)})},
                    {"metadata", Json::object()},
                    {"is_hop_single_tensor_return", nullptr},
                    {"name", name}});
  values_[name] = metaOf(meaning);
  known_.emplace_back(meaning, name);
  return name;
}

std::string NumberWriter::nameOfWhole(const Whole& whole) {
  SizeFormula own = termFormula({1, {whole.symbol, 0, 1}, 1});
  auto& part = own.factors[0].terms[0].whole;
  const auto symbol =
      std::find_if(known_.begin(), known_.end(), [&](const auto& item) { return item.first == own; });
  std::string name;
  if (symbol != known_.end()) {
    name = symbol->second;
  } else {
    name = symbolNode(whole.symbol);
    values_[name] = metaOf(own);
    known_.emplace_back(own, name);
  }
  part.shift = whole.shift;
  if (whole.shift != 0) name = arithmetic("_operator.add", "add", {named(name), number(whole.shift)}, own);
  part.divisor = whole.divisor;
  if (whole.divisor != 1)
    name = arithmetic("_operator.floordiv", "floordiv", {named(name), number(whole.divisor)}, own);
  return name;
}

std::string NumberWriter::nameOfSum(const SizeFormula::Sum& sum) {
  std::string name;
  SizeFormula soFar{.offset = 0, .scale = 1, .factors = {{}}};
  for (const Term& term : sum.terms) {
    std::string part = nameOfWhole(term.whole);
    if (term.power == 2)
      part = arithmetic("_operator.mul", "mul", {named(part), named(part)}, termFormula({1, term.whole, 2}));
    if (term.scale != 1)
      part = arithmetic("_operator.mul", "mul", {named(part), number(term.scale)}, termFormula(term));
    soFar.factors[0].terms.push_back(term);
    name = name.empty() ? part : arithmetic("_operator.add", "add", {named(name), named(part)}, soFar);
  }
  soFar.factors[0].offset = sum.offset;
  return sum.offset == 0 ? name
                         : arithmetic("_operator.add", "add", {named(name), number(sum.offset)}, soFar);
}

std::string NumberWriter::nameOf(const SizeFormula& formula) {
  const auto known =
      std::find_if(known_.begin(), known_.end(), [&](const auto& item) { return item.first == formula; });
  if (known != known_.end()) return known->second;
  std::string name;
  SizeFormula soFar;
  for (const auto& factor : formula.factors) {
    const std::string part = nameOfSum(factor);
    soFar.factors.push_back(factor);
    name = name.empty() ? part : arithmetic("_operator.mul", "mul", {named(name), named(part)}, soFar);
  }
  soFar.scale = formula.scale;
  if (formula.scale != 1)
    name = arithmetic("_operator.mul", "mul", {named(name), number(formula.scale)}, soFar);
  soFar.offset = formula.offset;
  if (formula.offset != 0)
    name = arithmetic("_operator.add", "add", {named(name), number(formula.offset)}, soFar);
  return name;
}

}  // namespace torchsearch::exported

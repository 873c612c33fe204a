#include "core/exported/write/number_writer.h"

#include <algorithm>

namespace torchsearch::exported {
namespace {

using Factor = SizeFormula::Factor;
using Term = SizeFormula::Term;

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

std::string NumberWriter::textOfFormula(const SizeFormula& formula) const {
  std::vector<std::string> sum;
  for (const Term& term : formula.terms) {
    std::vector<std::string> product;
    if (term.scale != 1) product.push_back(integer(term.scale));
    for (const Factor& factor : term.factors) {
      std::vector<std::string> shifted{"Symbol('" + probes_.symbols()[factor.symbol].name +
                                       "', positive=True, integer=True)"};
      if (factor.shift != 0) shifted.push_back(integer(factor.shift));
      const std::string whole = call("Add", shifted);
      product.push_back(factor.divisor == 1 ? whole
                                            : "FloorDiv(" + whole + ", " + integer(factor.divisor) + ")");
    }
    sum.push_back(call("Mul", product));
  }
  if (formula.offset != 0 || sum.empty()) sum.push_back(integer(formula.offset));
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
  return name;
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

std::string NumberWriter::nameOf(const SizeFormula& formula) {
  const auto known =
      std::find_if(known_.begin(), known_.end(), [&](const auto& item) { return item.first == formula; });
  if (known != known_.end()) return known->second;
  const auto number = [](int64_t value) { return Json{{"as_int", value}}; };
  // One part after the other: the symbol, its shift, its divisor, their product, the scale, the sum.
  std::string sum;
  SizeFormula soFar;
  for (const Term& term : formula.terms) {
    std::string product;
    SizeFormula meaning{.offset = 0, .terms = {{1, {}}}};
    for (const Factor& factor : term.factors) {
      SizeFormula own{.offset = 0, .terms = {{1, {{factor.symbol, 0, 1}}}}};
      const auto symbol =
          std::find_if(known_.begin(), known_.end(), [&](const auto& item) { return item.first == own; });
      std::string name;
      if (symbol != known_.end()) {
        name = symbol->second;
      } else {
        name = symbolNode(factor.symbol);
        values_[name] = metaOf(own);
        known_.emplace_back(own, name);
      }
      own.terms[0].factors[0].shift = factor.shift;
      if (factor.shift != 0)
        name = arithmetic("_operator.add", "add", {named(name), number(factor.shift)}, own);
      own.terms[0].factors[0].divisor = factor.divisor;
      if (factor.divisor != 1)
        name = arithmetic("_operator.floordiv", "floordiv", {named(name), number(factor.divisor)}, own);
      meaning.terms[0].factors.push_back(factor);
      product =
          product.empty() ? name : arithmetic("_operator.mul", "mul", {named(product), named(name)}, meaning);
    }
    meaning.terms[0].scale = term.scale;
    if (term.scale != 1)
      product = arithmetic("_operator.mul", "mul", {named(product), number(term.scale)}, meaning);
    soFar.terms.push_back(term);
    sum = sum.empty() ? product : arithmetic("_operator.add", "add", {named(sum), named(product)}, soFar);
  }
  soFar.offset = formula.offset;
  if (formula.offset != 0)
    sum = arithmetic("_operator.add", "add", {named(sum), number(formula.offset)}, soFar);
  return sum;
}

}  // namespace torchsearch::exported

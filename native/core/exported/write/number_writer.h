#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/exported/json.h"
#include "core/exported/write/shape_probes.h"
#include "core/exported/write/size_formula.h"
#include "core/exported/write/written_names.h"

namespace torchsearch::exported {

// Writes numbers as constants, or as what follows from the sizes of the inputs.
class NumberWriter {
 public:
  // `inputs` are the names of the inputs' tensors.
  NumberWriter(const ShapeProbes& probes, std::vector<std::string> inputs, WrittenNames& names)
      : probes_(probes), inputs_(std::move(inputs)), names_(names) {}

  // A number, by its values at the probes' points, as metadata has it: {"as_int": …} or {"as_expr": …}.
  // ERR_EXPORTED_WRITE where no formula gives them.
  Json expression(const std::vector<int64_t>& values, const std::string& what) const;
  // The same as an operand: {"as_int": …}, or {"as_name": …} of a node, which is made where there is none
  // yet.
  Json operand(const std::vector<int64_t>& values, const std::string& what);

  // The nodes that compute sizes, and their values' metadata. To be read last.
  const Json& nodes() const { return nodes_; }
  const Json& values() const { return values_; }

 private:
  SizeFormula fit(const std::vector<int64_t>& values, const std::string& what) const;
  std::string textOfSum(const SizeFormula::Sum& sum) const;
  std::string textOfFormula(const SizeFormula& formula) const;
  Json metaOf(const SizeFormula& formula) const;
  std::string nameOf(const SizeFormula& formula);
  std::string nameOfSum(const SizeFormula::Sum& sum);
  std::string nameOfWhole(const SizeFormula::Whole& whole);
  std::string arithmetic(const char* target, const std::string& base, const std::vector<Json>& operands,
                         const SizeFormula& meaning);
  std::string symbolNode(size_t symbol);

  const ShapeProbes& probes_;
  std::vector<std::string> inputs_;
  WrittenNames& names_;
  Json nodes_ = Json::array();
  Json values_ = Json::object();
  std::vector<std::pair<SizeFormula, std::string>> known_;
};

}  // namespace torchsearch::exported

#include "core/space/cost_model.h"

#include <map>

#include "core/error.h"
#include "core/profile/operator_cost.h"

namespace torchsearch {

CostModel::CostModel(const Dependencies& dependencies) {
  const Program& program = dependencies.program();
  for (const auto& instruction : program.instructions) {
    if (instruction.speculative) continue;
    for (const auto& product : multiplyAddTerms(program, instruction)) {
      Term term;
      term.coefficient = static_cast<double>(product.coefficient);
      for (const auto& factor : product.factors) multiply(term, dependencies, factor.slot, factor.dimension);
      macs_.push_back(std::move(term));
    }
  }
  // Every parameter and buffer has a slot, used or not, and shared ones have one.
  for (size_t i = 0; i < program.slots.size(); ++i) {
    const auto& slot = program.slots[i];
    if (!slot.isStored()) continue;
    Term term;
    term.coefficient = 1;
    for (size_t d = 0; d < slot.sizes.size(); ++d) {
      multiply(term, dependencies, static_cast<SlotId>(i), static_cast<int64_t>(d));
    }
    if (slot.kind == Slot::Kind::kParameter) params_.push_back(term);
    term.coefficient *= static_cast<double>(c10::elementSize(slot.dtype));
    bytes_.push_back(std::move(term));
  }
}

CostModel::Affine CostModel::affine(const Dependencies& dependencies, SlotId slot, int64_t dimension) {
  Affine result;
  const Labels& labels = dependencies.labels(slot, dimension);
  if (labels.empty()) {
    result.constant = dependencies.program().slots[slot].sizes[dimension];
    return result;
  }
  std::map<int32_t, int64_t> first;  // indices of the class at position 0 stand for all of the group
  for (const Atom atom : labels) {
    const ClassPlace place = dependencies.placeOf(atom);
    if (place.group == kNoGroup) {
      ++result.constant;
    } else if (place.position == 0) {
      ++first[place.group];
    }
  }
  result.factors.assign(first.begin(), first.end());
  return result;
}

void CostModel::multiply(Term& term, const Dependencies& dependencies, SlotId slot, int64_t dimension) {
  auto factor = affine(dependencies, slot, dimension);
  if (factor.factors.empty()) {
    term.coefficient *= static_cast<double>(factor.constant);
  } else {
    term.dimensions.push_back(std::move(factor));
  }
}

double CostModel::sum(const std::vector<Term>& terms, const std::vector<int64_t>& widths) {
  double total = 0;
  for (const auto& term : terms) {
    double product = term.coefficient;
    for (const auto& dimension : term.dimensions) {
      int64_t size = dimension.constant;
      for (const auto& [group, count] : dimension.factors) size += count * widths[group];
      product *= static_cast<double>(size);
    }
    total += product;
  }
  return total;
}

double CostModel::cost(const std::vector<int64_t>& widths, const std::string& metric) const {
  if (metric == "params") return sum(params_, widths);
  if (metric == "macs") return sum(macs_, widths);
  if (metric == "flops") return 2 * sum(macs_, widths);
  if (metric == "size") return sum(bytes_, widths);
  throw Error("ERR_UNKNOWN_METRIC",
              "'" + metric + "' is no cost of a search space; use params, macs, flops or size.");
}

}  // namespace torchsearch
